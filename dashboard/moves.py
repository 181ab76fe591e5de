"""The users whose label is not the one at the time when the page was opened."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.users.table import NO_LABEL
from dashboard.table import Snapshot


class Moves(NamedTuple):
    """The differences between two snapshots."""

    # Users by label before (row) and now (column). The last row are new users, the last column deleted ones.
    pairs: NDArray[np.int64]
    before: NDArray[np.int32]  # label before, by index
    indices: NDArray[np.intp]  # of the users who moved, are new or were deleted, the latest change first

    @property
    def n_moved(self) -> int:
        """Users who moved from one label to another."""
        labels = self.pairs[:-1, :-1]
        return int(labels.sum() - labels.trace())

    @property
    def n_new(self) -> int:
        """Users who are new."""
        return int(self.pairs[-1, :-1].sum())

    @property
    def n_deleted(self) -> int:
        """Users who were deleted."""
        return int(self.pairs[:-1, -1].sum())


def moves(then: Snapshot, now: Snapshot) -> Moves:
    """Compare two snapshots of one table, by index."""
    before = np.full(len(now.labels), NO_LABEL, np.int32)
    before[: len(then.labels)] = then.labels
    size = max(then.n_labels, now.n_labels) + 1
    # Modulo `size`, NO_LABEL (-1) becomes the last row or column.
    pairs = np.bincount((before % size) * size + now.labels % size, minlength=size * size)
    indices = np.flatnonzero(before != now.labels)
    newest_first = np.argsort(-now.changed[indices], kind="stable")
    return Moves(pairs.reshape(size, size), before, indices[newest_first])
