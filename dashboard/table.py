"""The users of the output and their labels, in columns. The page shows snapshots of this table.

A user keeps its index, also when deleted, so that two snapshots can be compared by index. A million users take about
200 MB, half of it for their names.
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

INITIAL_CAPACITY = 1_024  # rows; doubled when full


@dataclass(frozen=True)
class Snapshot:
    """An immutable copy of the table. Columns are in the order of the indices, deleted users included."""

    user_ids: Sequence[str]  # shared with the table, so there may be more than rows in this snapshot
    amounts: NDArray[np.float64]  # in the currency of the input
    counts: NDArray[np.int64]  # transactions
    labels: NDArray[np.int32]  # NO_LABEL for deleted users
    changed: NDArray[np.int64]  # timestamp of the user's newest record in ms
    version: int  # higher in later snapshots of a table
    _cache: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def present(self) -> NDArray[np.intp]:
        """The indices of the users who are not deleted."""
        return np.flatnonzero(self.labels != NO_LABEL)

    @cached_property
    def totals(self) -> NDArray[np.float64]:
        """Both totals of the users who are not deleted, of shape (n_users, 2)."""
        return np.column_stack((self.amounts[self.present], self.counts[self.present].astype(np.float64)))

    @cached_property
    def present_labels(self) -> NDArray[np.int32]:
        """The labels of the users who are not deleted."""
        return self.labels[self.present]

    @cached_property
    def n_labels(self) -> int:
        """One more than the highest label."""
        return int(self.labels.max(initial=NO_LABEL)) + 1

    @cached_property
    def newest_ms(self) -> int:
        """The timestamp of the newest record in ms, 0 without records."""
        return int(self.changed.max(initial=0))

    def sizes(self, n_labels: int | None = None) -> list[int]:
        """Return the number of users of each label."""
        found: list[int] = np.bincount(self.present_labels, minlength=n_labels or self.n_labels).tolist()
        return found

    def cached(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the result of `compute` for this key, computed once for all browsers."""
        if key not in self._cache:
            self._cache[key] = compute()
        return cast(T, self._cache[key])


class Table:
    """One row for each user, by index."""

    def __init__(self) -> None:
        self._indices: dict[str, int] = {}
        self._user_ids: list[str] = []
        self._columns: dict[str, Array] = {
            "amounts": np.zeros(INITIAL_CAPACITY),
            "counts": np.zeros(INITIAL_CAPACITY, np.int64),
            "labels": np.full(INITIAL_CAPACITY, NO_LABEL, np.int32),
            "changed": np.zeros(INITIAL_CAPACITY, np.int64),
        }
        self._version = 0

    def __len__(self) -> int:
        """Return the number of users, deleted ones included."""
        return len(self._user_ids)

    def update(self, labelled: Sequence[tuple[str, Row, int]], times: Sequence[int]) -> None:
        """Set rows and labels; for a user who occurs twice, the last one. `times` are timestamps in ms."""
        if not labelled:
            return
        user_ids, rows, labels = zip(*labelled, strict=True)
        amounts, counts = zip(*rows, strict=True)
        indices = self._indices_of(user_ids)
        columns = {"amounts": amounts, "counts": counts, "labels": labels, "changed": times}
        for name, values in columns.items():
            self._columns[name][indices] = values
        self._version += 1

    def delete(self, user_ids: Sequence[str], times: Sequence[int]) -> None:
        """Mark users as deleted at these timestamps in ms."""
        indices = self._indices_of(user_ids)
        self._columns["labels"][indices] = NO_LABEL
        self._columns["changed"][indices] = times
        self._version += 1

    def clear(self) -> None:
        """Mark all users as deleted, before the output is read again. Their indices stay."""
        self._columns["labels"][:] = NO_LABEL
        self._columns["changed"][:] = 0
        self._version += 1

    def index_of(self, user_id: str) -> int | None:
        """Return the index of a user."""
        return self._indices.get(user_id)

    @property
    def version(self) -> int:
        """A number that increases with each change."""
        return self._version

    def snapshot(self) -> Snapshot:
        """Return a copy of the table."""
        amounts, counts, labels, changed = (column[: len(self)].copy() for column in self._columns.values())
        return Snapshot(self._user_ids, amounts, counts, labels, changed, self._version)

    def _indices_of(self, user_ids: Sequence[str]) -> list[int]:
        """Return the indices of users, and add the users that are new."""
        index_of = self._indices
        n_known = len(index_of)
        indices = [index_of.setdefault(user_id, len(index_of)) for user_id in user_ids]
        n_new = len(index_of) - n_known
        if n_new:
            self._user_ids += list(itertools.islice(reversed(index_of), n_new))[::-1]
            self._reserve(len(index_of))
        return indices

    def _reserve(self, n_rows: int) -> None:
        """Enlarge the columns to at least so many rows."""
        capacity = len(self._columns["labels"])
        while capacity < n_rows:
            capacity *= 2
        for name, column in self._columns.items():
            n_added = capacity - len(column)
            if n_added:
                added = np.full(n_added, NO_LABEL if name == "labels" else 0, column.dtype)
                self._columns[name] = np.concatenate((column, added))
