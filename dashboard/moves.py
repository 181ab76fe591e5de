"""Who has another label than when the page was opened, and where they went."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.users.table import NO_LABEL
from dashboard.table import Snapshot


class Moves(NamedTuple):
    """What happened between two moments."""

    pairs: NDArray[np.int64]  # from (row) to (column) label, users; the last row and column: not there
    before: NDArray[np.int32]  # label of each place before
    places: NDArray[np.intp]  # of those who moved, came or went, who changed last first

    @property
    def n_moved(self) -> int:
        """How many have gone from one label to another."""
        labels = self.pairs[:-1, :-1]
        return int(labels.sum() - labels.trace())

    @property
    def n_new(self) -> int:
        """How many have come."""
        return int(self.pairs[-1, :-1].sum())

    @property
    def n_gone(self) -> int:
        """How many have gone."""
        return int(self.pairs[:-1, -1].sum())


def moves(then: Snapshot, now: Snapshot) -> Moves:
    """Compare two snapshots of one table, place by place."""
    before = np.full(len(now.labels), NO_LABEL, np.int32)
    before[: len(then.labels)] = then.labels
    size = max(then.n_labels, now.n_labels) + 1
    pairs = np.bincount((before % size) * size + now.labels % size, minlength=size * size)  # NO_LABEL becomes the last
    places = np.flatnonzero(before != now.labels)
    newest_first = np.argsort(-now.changed[places], kind="stable")
    return Moves(pairs.reshape(size, size), before, places[newest_first])
