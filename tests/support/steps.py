"""Steps for reports, and a clock set by hand."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from classifier.clustering.scaling import Scaling
from classifier.features import TOTALS, Features
from classifier.reports.step import Step

AS_THEY_ARE = Scaling()


def made_step(rows: Sequence[tuple[str, float, int, int]], n_labels: int = 3) -> Step:
    """A step of (user_id, total_amount, num_transactions, label), each centre the mean of its label."""
    totals = np.array([row[1:3] for row in rows], np.float64).reshape(-1, 2)
    labels = np.array([row[3] for row in rows], np.int32)
    centers = [totals[labels == label].mean(axis=0) for label in range(n_labels)] if rows else np.empty((0, 2))
    return step_of([row[0] for row in rows], totals, labels, np.array(centers))


def step_of(
    user_ids: Sequence[str],
    totals: NDArray[np.float64],
    labels: NDArray[np.int32],
    centers: NDArray[np.float64],
    scaling: Scaling = AS_THEY_ARE,
    features: Features = TOTALS,
) -> Step:
    """A step without durations."""
    return Step(user_ids, totals, labels, centers, 0, 0, 0.0, 0.0, {}, scaling=scaling, features=features)


class ManualClock:
    """A clock that shows `now`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


EMPTY = made_step([])
