"""The users of the output and their labels, in columns; what the page shows is a snapshot of it.

A user keeps the place once given, also when gone, so that two snapshots are compared place by place. A million users
take about 200 MB, half of it their names.
"""

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from classifier.row import Row
from classifier.users.table import NO_LABEL

T = TypeVar("T")
Array = NDArray[Any]

FIRST_ROOM = 1_024  # places; doubled when they are full


@dataclass(frozen=True)
class Snapshot:
    """The table at one moment; nothing in it changes any more. The columns lie in the order of the places."""

    user_ids: Sequence[str]  # maybe of more users than the columns have: of those that came later
    amounts: NDArray[np.float64]  # in the currency of the input
    counts: NDArray[np.int64]  # transactions
    labels: NDArray[np.int32]  # NO_LABEL for users gone
    changed: NDArray[np.int64]  # timestamp of the user's newest record in ms
    version: int  # of two snapshots of one table, the later one has the higher
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def there(self) -> NDArray[np.intp]:
        """The places of the users who are not gone."""
        return np.flatnonzero(self.labels != NO_LABEL)

    @cached_property
    def totals(self) -> NDArray[np.float64]:
        """Both totals of the users who are not gone, of shape (n_users, 2)."""
        return np.column_stack((self.amounts[self.there], self.counts[self.there].astype(np.float64)))

    @cached_property
    def labels_there(self) -> NDArray[np.int32]:
        """The labels of the users who are not gone."""
        return self.labels[self.there]

    @cached_property
    def n_labels(self) -> int:
        """One more than the highest label."""
        return int(self.labels.max(initial=NO_LABEL)) + 1

    @cached_property
    def newest(self) -> int:
        """The timestamp of the newest record in ms, 0 where there is none."""
        return int(self.changed.max(initial=0))

    def sizes(self, n_labels: int | None = None) -> list[int]:
        """Return how many users each label has."""
        found: list[int] = np.bincount(self.labels_there, minlength=n_labels or self.n_labels).tolist()
        return found

    def remembered(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was made of this snapshot for somebody else already, or make it: it stays the same."""
        if key not in self._made:
            self._made[key] = make()
        return cast(T, self._made[key])


class Table:
    """One row for each user, by place."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._user_ids: list[str] = []
        self._columns: dict[str, Array] = {
            "amounts": np.zeros(FIRST_ROOM),
            "counts": np.zeros(FIRST_ROOM, np.int64),
            "labels": np.full(FIRST_ROOM, NO_LABEL, np.int32),
            "changed": np.zeros(FIRST_ROOM, np.int64),
        }
        self._version = 0

    def __len__(self) -> int:
        """Return how many users it has had a row of."""
        return len(self._user_ids)

    def take(self, labelled: Sequence[tuple[str, Row, int]], times: Sequence[int]) -> None:
        """Take rows and labels; of a user who is there twice the last counts. `times` are timestamps in ms."""
        if not labelled:
            return
        user_ids, rows, labels = zip(*labelled, strict=True)
        amounts, counts = zip(*rows, strict=True)
        at = self._places_of(user_ids)
        news = {"amounts": amounts, "counts": counts, "labels": labels, "changed": times}
        for name, values in news.items():
            self._columns[name][at] = values
        self._version += 1

    def forget(self, user_ids: Sequence[str], times: Sequence[int]) -> None:
        """Take it that users are gone."""
        at = self._places_of(user_ids)
        self._columns["labels"][at] = NO_LABEL
        self._columns["changed"][at] = times
        self._version += 1

    def clear(self) -> None:
        """Take it that all users are gone: the output is read anew. Their places stay."""
        self._columns["labels"][:] = NO_LABEL
        self._columns["changed"][:] = 0
        self._version += 1

    def place(self, user_id: str) -> int | None:
        """Return a user's place."""
        return self._places.get(user_id)

    @property
    def version(self) -> int:
        """Higher after each change."""
        return self._version

    def snapshot(self) -> Snapshot:
        """Return the table as it is."""
        amounts, counts, labels, changed = (column[: len(self)].copy() for column in self._columns.values())
        return Snapshot(self._user_ids, amounts, counts, labels, changed, self._version)

    def _places_of(self, user_ids: Sequence[str]) -> list[int]:
        """Return where users are, with a place for each who is new."""
        places, known = self._places, len(self._places)
        at = [places.setdefault(user_id, len(places)) for user_id in user_ids]
        if n_new := len(places) - known:
            self._user_ids += list(itertools.islice(reversed(places), n_new))[::-1]
            self._make_room(len(places))
        return at

    def _make_room(self, n_places: int) -> None:
        """Have at least so many places."""
        room = len(self._columns["labels"])
        while room < n_places:
            room *= 2
        for name, column in self._columns.items():
            if more := room - len(column):
                filler = np.full(more, NO_LABEL if name == "labels" else 0, column.dtype)
                self._columns[name] = np.concatenate((column, filler))
