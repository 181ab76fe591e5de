"""The rows of one user as a signed multiset: how often each row was added, less how often it was retracted."""

from classifier.row import Row

Multiset = dict[Row, int]  # row -> count, never 0; the row added last comes last
# Nearly every user has one row once, or none. Such a multiset is stored as the row or as (), a third of a dict's size.
UserRows = Multiset | Row | tuple[()]
EMPTY: Multiset = {}


def current_row(rows: UserRows) -> Row | None:
    """Return the row added last whose count is positive."""
    if isinstance(rows, tuple):
        return rows or None
    return next((row for row in reversed(rows) if rows[row] > 0), None)


def as_multiset(rows: UserRows) -> Multiset:
    """Return the multiset as a dict; the argument itself where it is one."""
    if isinstance(rows, tuple):
        return {rows: 1} if rows else {}
    return rows


def added(rows: UserRows, row: Row, count: int) -> Multiset:
    """Return the multiset with a row added `count` times, or retracted if `count` is negative; may change `rows`."""
    multiset = as_multiset(rows)
    before = multiset.pop(row, 0) if count > 0 else multiset.get(row, 0)  # a row that is added moves to the end
    total = before + count
    if total:
        multiset[row] = total
    else:
        multiset.pop(row, None)
    return multiset
