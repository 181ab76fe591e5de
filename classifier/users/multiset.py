"""What is known of one user: each row, and how often it was added less how often it was taken back."""

from classifier.row import Row

Multiset = dict[Row, int]  # the row added last lies last
# Nearly every multiset is empty or one row once: then it is written as () or as the row, a third of a dict's size.
Known = Multiset | Row | tuple[()]
NOTHING: Multiset = {}


def current_row(known: Known) -> Row | None:
    """Return the row added last whose count is positive."""
    if isinstance(known, tuple):
        return known or None
    return next((row for row in reversed(known) if known[row] > 0), None)


def as_multiset(known: Known) -> Multiset:
    """Write a multiset out."""
    if isinstance(known, tuple):
        return {known: 1} if known else {}
    return known


def added(known: Known, row: Row, count: int) -> Multiset:
    """Add a row; the one added last lies last."""
    rows = as_multiset(known)
    total = (rows.pop(row, 0) if count > 0 else rows.get(row, 0)) + count
    if total:
        rows[row] = total
    else:
        rows.pop(row, None)
    return rows
