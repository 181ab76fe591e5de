"""When a user without a row is deleted: at the second confirmed end of the input in a row, a second after the first.

Records of one transaction may become readable in one partition a moment before another. So at an end of the input a
user may be rowless whose old row is retracted and whose new row is not readable yet. Only who is still rowless at the
next end is deleted. The leaders of all partitions have to confirm both ends, and have to be asked after the retraction
was read: the new row may be on a broker that hangs. While a partition gets another leader, the old one may answer for a
moment without the records that the new one has; so the two ends have to be some time apart.
"""

import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet


class Deletions:
    """Follows the rowless users from one end of the input to the next."""

    def __init__(
        self, *, rebuild: bool = False, ends_apart: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """In a rebuild, the users that no record confirms are due at the first end, so that -k auto leaves them out.

        `ends_apart`: seconds from one end that counts to the next.
        """
        self._ends_apart = ends_apart
        self._clock = clock
        self._asked_at = 0.0  # when the leaders were asked for the end
        self._counts_from = float("-inf")  # an end that is asked for from here on is the next one that counts
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
        self._asked_at = self._clock()

    def due(self, rowless: AbstractSet[str], *, last: bool) -> AbstractSet[str]:
        """Return the users to delete at the end that the leaders confirm; with `last` one end is enough."""
        due = rowless & self._rowless_when_asked
        if last:
            return due
        return due & (self._rowless_at_last_end or set()) if self._counts else set()

    def end_confirmed(self, rowless: AbstractSet[str]) -> None:
        """Take note of the users who are rowless at this end, and not deleted."""
        if self._counts:
            self._rowless_at_last_end = self._rowless_when_asked & rowless
            self._counts_from = self._asked_at + self._ends_apart

    @property
    def _counts(self) -> bool:
        return self._asked_at >= self._counts_from
