"""Points and weights -> the best centres that a short search finds.

Points are users, each of weight 1, or represent many users (see `grouping`). The result depends on them alone.

One run of k-means++ ends in one of several local optima, and which one can change with every record: labels would
jump. So the search (1) takes the best of many runs, and (2) moves one centre at a time elsewhere as long as that lowers
the inertia.

References
----------
Lloyd, S. P. (1982), "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28(2).
Fränti, P. (2018), "Efficiency of random swap clustering", J. Big Data 5:13.
"""

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.clustering.model import BLOCK_ROWS, kmeans_class
from classifier.clustering.scaling import Weights

LANES = 8  # partial sums for each centre: additions to a single sum would each wait for the one before
SWAPS = 2  # new positions tried for each centre in a round
MAX_ROUNDS = 10
MIN_GAIN = 1e-5  # share of the inertia that a swap must save
# Lloyd stops as in scikit-learn: when the squared shift of all centres is below this share of the mean variance.
TOLERANCE = 1e-4
MAX_ITERATIONS = 300


class Fitted(NamedTuple):
    """A fit, with the attribute names of scikit-learn's KMeans."""

    labels_: NDArray[np.int32]
    cluster_centers_: NDArray[np.float64]
    inertia_: float


def best_fit(points: NDArray[np.float64], weights: Weights, n_clusters: int, n_init: int, random_state: int) -> Any:
    """Return the fitted KMeans of least inertia that the search finds.

    Parameters
    ----------
    points : ndarray of shape (n_points, n_features)
        On the scale of the fit; at least `n_clusters` of them are distinct.
    weights : ndarray of shape (n_points,)
        How many users each point represents.
    n_init : int
        Runs of k-means++.
    random_state : int
        Seed of these runs and of the swaps.
    """
    best = lloyd(points, "k-means++", n_clusters, weights, n_init=n_init, random_state=random_state)
    rng = np.random.default_rng(random_state)
    for _ in range(MAX_ROUNDS):
        starts = swapped(points, weights, best.cluster_centers_, rng)
        trials = (lloyd(points, centers, n_clusters, weights) for centers in starts)
        found = min(trials, key=lambda model: model.inertia_, default=best)
        if not found.inertia_ < best.inertia_ * (1 - MIN_GAIN):
            break
        best = found
    return best


def refined(points: NDArray[np.float64], centers: NDArray[np.float64], weights: Weights | None = None) -> Fitted:
    """Run Lloyd on users, starting from these centres; a centre without users stays where it is.

    scikit-learn takes ten times as long for the two or three iterations that are left, mostly to prepare a run.
    Distances are not computed by matrix products, so equal users get the same label in any row. With `weights`,
    points are few enough to iterate until no centre moves.
    """
    tolerance = TOLERANCE * np.mean([column.var() for column in points.T]) if weights is None else 0.0
    for _ in range(MAX_ITERATIONS):
        means = means_of_nearest(points, centers, weights)
        shift = ((means - centers) ** 2).sum()
        centers = means
        if shift <= tolerance:
            break
    labels = np.empty(len(points), np.int32)
    inertia = 0.0
    for block, nearest, distances in nearest_by_block(points, centers):
        labels[block] = nearest
        inertia += float((distances**2 * (1 if weights is None else weights[block])).sum())
    return Fitted(labels, centers, inertia)


def means_of_nearest(
    points: NDArray[np.float64], centers: NDArray[np.float64], weights: Weights | None
) -> NDArray[np.float64]:
    """Return the mean of the users nearest to each centre; a centre without users stays where it is."""
    sums = np.zeros((len(centers), 1 + points.shape[1]))  # number of users, then the coordinates
    lane_of_row = np.arange(BLOCK_ROWS) % LANES
    for block, nearest, _ in nearest_by_block(points, centers):
        users = None if weights is None else weights[block]
        coordinates = (column if users is None else users * column for column in points[block].T)
        lanes = LANES * nearest.astype(np.intp) + lane_of_row[: len(nearest)]
        for index, values in enumerate([users, *coordinates]):
            partial_sums = np.bincount(lanes, values, LANES * len(centers))
            sums[:, index] += partial_sums.reshape(-1, LANES).sum(axis=1)
    n_users = sums[:, :1]
    return np.divide(sums[:, 1:], n_users, out=centers.copy(), where=n_users > 0)


def nearest_by_block(
    points: NDArray[np.float64], centers: NDArray[np.float64]
) -> Iterator[tuple[slice, NDArray[np.int32], NDArray[np.float64]]]:
    """Yield blocks of points: the slice, the index of the nearest centre of each point, and its distance."""
    from scipy.cluster.vq import vq

    for start in range(0, len(points), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        yield block, *vq(points[block], centers)


def lloyd(
    points: NDArray[np.float64],
    init: NDArray[np.float64] | str,
    n_clusters: int,
    weights: Weights,
    **runs: int,
) -> Any:
    """Return a KMeans fitted to weighted points, from these centres or by runs of k-means++."""
    model = kmeans_class()(n_clusters, init=init, **{"n_init": 1, **runs})
    with warnings.catch_warnings():
        # "Fewer distinct clusters than n_clusters": with totals of 1e16, small differences are lost to rounding.
        warnings.simplefilter("ignore")
        return model.fit(points, sample_weight=weights)


def swapped(
    points: NDArray[np.float64], weights: Weights, centers: NDArray[np.float64], rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Yield the centres with one of them moved to a point, drawn as k-means++ does: likely far from the others."""
    if len(centers) < 2:
        return
    distances = ((points[:, None, :] - centers) ** 2).sum(axis=2)
    for index in range(len(centers)):
        others = np.delete(centers, index, axis=0)
        costs = weights * np.delete(distances, index, axis=1).min(axis=1)
        total = costs.sum()
        if not total:
            continue
        for point in rng.choice(len(points), SWAPS, p=costs / total):
            yield np.vstack((others, points[point]))
