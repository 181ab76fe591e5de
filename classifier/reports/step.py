"""The result of one step, for the log and the reports."""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.clustering.scaling import Scaling, Weights
from classifier.features import TOTALS, Features

log = logging.getLogger("user_classifier")


class Step(NamedTuple):
    """One fit whose labels are committed, or would be in a run (--dry-run)."""

    user_ids: Sequence[str]  # ascending; arrays are in the same order
    totals: NDArray[np.float64]  # shape (n_users, n_features), in the units of the input
    labels: NDArray[np.int32]  # shape (n_users,)
    centers: NDArray[
        np.float64
    ]  # shape (n_clusters, n_features), in the units of the input; one row if users are fewer
    n_records: int  # read since the step before
    n_changes: int  # users whose row or label changed
    fit_seconds: float
    commit_seconds: float
    lag: Mapping[int, int]  # records behind, by partition; empty if unknown
    n_several: int = 0  # users with more than one row at two ends of the input in a row
    scaling: Scaling = Scaling()  # of the fit
    weights: Weights | None = None  # shape (n_users,): how many users each row represents, by default one
    features: Features = TOTALS

    @property
    def n_users(self) -> int:
        """The number of users, which is not the number of rows if these have weights."""
        return len(self.labels) if self.weights is None else int(self.weights.sum())

    @property
    def users_of_labels(self) -> list[int]:
        """The number of users of each label."""
        counts = np.bincount(self.labels, self.weights, len(self.centers))
        return [int(count) for count in counts]


def log_step(step: Step) -> None:
    """Log a step in one line; its numbers are also fields for --log-format json."""
    numbers = {
        "records": step.n_records,
        "users": step.n_users,
        "changes": step.n_changes,
        "fit_ms": round(1000 * step.fit_seconds, 1),
        "commit_ms": round(1000 * step.commit_seconds, 1),
        "lag": sum(step.lag.values()),
    }
    line = "%d records, %d users, %d changes, fit %.0f ms, commit %.0f ms, lag %d"
    log.info(line, *numbers.values(), extra=numbers)
