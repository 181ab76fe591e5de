"""Expected labels on each scale, by independent code: the scales as documented, and scikit-learn."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from tests.support.kmeans import fitted_kmeans

Points = NDArray[np.float64]


def points(totals: Points, scale: str, of: Points | None = None) -> Points:
    """Totals as points; on the standard scale of these totals or of others."""
    if scale == "log":
        return np.copysign(np.log1p(np.abs(totals)), totals)
    return totals if scale == "none" else StandardScaler().fit(totals if of is None else of).transform(totals)


def labels(
    table: Mapping[str, tuple[float, int]], n_clusters: int, scale: str, n_init: int = 1
) -> tuple[dict[str, int], float]:
    """Labels and inertia of the best of `n_init` fits: rows in the order of user_id, labels by mean total_amount."""
    users = sorted(table)
    totals = np.array([table[user] for user in users], np.float64)
    model = fitted_kmeans(points(totals, scale), n_clusters, n_init=n_init, random_state=42)
    ranks = ranks_by_amount(totals, model.labels_)
    return {user: ranks[number] for user, number in zip(users, model.labels_.tolist(), strict=True)}, model.inertia_


def ranks_by_amount(totals: Points, numbers: NDArray[np.int32]) -> list[int]:
    """The label of each cluster number."""
    means = [totals[numbers == number, 0].mean() for number in range(numbers.max() + 1)]
    ranks: list[int] = np.argsort(np.argsort(means)).tolist()
    return ranks
