"""When a user without a row is deleted: at the second confirmed end of the input in a row.

Records of one transaction may become readable in one partition a moment before another. So at an end of the input a
user may be rowless whose old row is retracted and whose new row is not readable yet. Only who is still rowless at the
next end is deleted. The leaders of all partitions have to confirm both ends, and have to be asked after the retraction
was read: the new row may be on a broker that hangs.
"""

from collections.abc import Set as AbstractSet


class Deletions:
    """Follows the rowless users from one end of the input to the next."""

    def __init__(self, *, rebuild: bool = False) -> None:
        """In a rebuild, the users that no record confirms are due at the first end, so that -k auto leaves them out."""
        self._rowless_at_last_end: set[str] | None = None if rebuild else set()
        self._rowless_when_asked: set[str] = set()

    def settled(self, rowless: AbstractSet[str]) -> None:
        """Take note of the rowless users after a batch: the others have a row, and need two ends from now on."""
        if self._rowless_at_last_end is None:
            self._rowless_at_last_end = set(rowless)
        else:
            self._rowless_at_last_end &= rowless

    def end_requested(self, rowless: AbstractSet[str]) -> None:
        """Take note of the rowless users when the leaders are asked for the end of the input."""
        self._rowless_when_asked = set(rowless)

    def due(self, rowless: AbstractSet[str], *, last: bool) -> AbstractSet[str]:
        """Return the users to delete at the end that the leaders confirm; with `last` one end is enough."""
        due = rowless & self._rowless_when_asked
        return due if last else due & (self._rowless_at_last_end or set())

    def end_confirmed(self, rowless: AbstractSet[str]) -> None:
        """Take note of the users who are rowless at this end, and not deleted."""
        self._rowless_at_last_end = self._rowless_when_asked & rowless
