"""The users of the output and their labels, in columns. The page shows snapshots of this table.

A user keeps its index, also when deleted, so that two snapshots can be compared by index. With two features, a million
users take about 200 MB, half of it for their names.
"""

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from classifier.features import LABEL, TOTALS, Features
from classifier.row import Row
from classifier.users.table import NO_LABEL

T = TypeVar("T")
Array = NDArray[Any]

INITIAL_CAPACITY = 1_024  # rows; doubled when full


@dataclass(frozen=True)
class Snapshot:
    """An immutable copy of the table. Columns are in the order of the indices, deleted users included."""

    features: Features  # those of the output
    user_ids: Sequence[str]  # shared with the table, so there may be more than rows in this snapshot
    values: Sequence[Array]  # a column for each feature: float64, or int64 of whole numbers and points in time
    labels: NDArray[np.int32]  # NO_LABEL for deleted users
    changed: NDArray[np.int64]  # timestamp of the user's newest record in ms
    version: int  # higher in later snapshots of a table
    _cache: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def present(self) -> NDArray[np.intp]:
        """The indices of the users who are not deleted."""
        return np.flatnonzero(self.labels != NO_LABEL)

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a feature, or the label, of the users who are not deleted."""
        values = self.labels if name == LABEL else self.values[self.features.names.index(name)]
        return values[self.present].astype(np.float64)

    def points(self, names: tuple[str, ...]) -> NDArray[np.float64]:
        """Return these columns of the users who are not deleted, of shape (n_users, n_names)."""
        return self.cached(("points", names), lambda: np.column_stack([self.column(name) for name in names]))

    def newest(self, name: str) -> float:
        """Return the largest value of a feature: of a point in time the one from which ages are counted."""
        return self.cached(("newest", name), lambda: float(self.column(name).max(initial=-np.inf)))

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

    def __init__(self, features: Features = TOTALS) -> None:
        self.features = features
        self._indices: dict[str, int] = {}
        self._user_ids: list[str] = []
        self._labels: NDArray[np.int32] = np.full(INITIAL_CAPACITY, NO_LABEL, np.int32)
        self._changed: NDArray[np.int64] = np.zeros(INITIAL_CAPACITY, np.int64)
        self._values = self._new_columns()
        self._version = 0

    def __len__(self) -> int:
        """Return the number of users, deleted ones included."""
        return len(self._user_ids)

    def update(self, labelled: Sequence[tuple[str, Row, int]], times: Sequence[int]) -> None:
        """Set rows and labels; for a user who occurs twice, the last one. `times` are timestamps in ms."""
        if not labelled:
            return
        user_ids, rows, labels = zip(*labelled, strict=True)
        indices = self._indices_of(user_ids)
        for column, values in zip(self._values, zip(*cast(Sequence[Row], rows), strict=True), strict=True):
            column[indices] = values
        self._labels[indices] = labels
        self._changed[indices] = times
        self._version += 1

    def delete(self, user_ids: Sequence[str], times: Sequence[int]) -> None:
        """Mark users as deleted at these timestamps in ms."""
        indices = self._indices_of(user_ids)
        self._labels[indices] = NO_LABEL
        self._changed[indices] = times
        self._version += 1

    def clear(self, features: Features) -> None:
        """Mark all users as deleted, before the output is read again, with these features. Their indices stay."""
        self._labels[:] = NO_LABEL
        self._changed[:] = 0
        if features != self.features:
            self.features = features
            self._values = self._new_columns()
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
        columns: Sequence[Array] = (self._labels, self._changed, *self._values)
        labels, changed, *values = (column[: len(self)].copy() for column in columns)
        return Snapshot(self.features, self._user_ids, values, labels, changed, self._version)

    def _new_columns(self) -> list[Array]:
        """Return a column of zeros for each feature."""
        return [np.zeros(len(self._labels), np.int64 if whole else np.float64) for whole in self.features.is_whole]

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
        capacity = len(self._labels)
        while capacity < n_rows:
            capacity *= 2
        n_added = capacity - len(self._labels)
        if n_added:
            self._labels = np.concatenate((self._labels, np.full(n_added, NO_LABEL, np.int32)))
            self._changed = extended(self._changed, n_added)
            self._values = [extended(column, n_added) for column in self._values]


def extended(column: Array, n_added: int) -> Array:
    """Return a column with so many zeros at its end."""
    return np.concatenate((column, np.zeros(n_added, column.dtype)))
