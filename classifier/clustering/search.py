"""Points and weights -> the best centres that can be found in short time.

The points are users, each of weight 1, or stand for many users (`cells`). Everything depends on them alone.

One run of k-means++ ends in one of several optima, and in which of them changes with every row that comes in: labels
would jump. So the best of many runs counts, and from there one centre after the other is tried elsewhere.

References
----------
Lloyd, S. P. (1982), "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28(2).
Fraenti, P. (2018), "Efficiency of random swap clustering", J. Big Data 5:13.
"""

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.clustering.model import BLOCK_ROWS, kmeans_class
from classifier.clustering.scaling import Weights

LANES = 8  # sums for each centre that are added up at the end: one alone waits for itself at every point
SWAPS = 2  # places tried for each centre
MOST_ROUNDS = 10
WORTH = 1e-5  # share of the inertia that a swap has to save
TOLERANCE, MOST_ITERATIONS = 1e-4, 300  # of Lloyd, as scikit-learn has them: squared way of the centres over variance


class Fitted(NamedTuple):
    """A fit; its fields have scikit-learn's names."""

    labels_: NDArray[np.int32]
    cluster_centers_: NDArray[np.float64]
    inertia_: float


def best_fit(points: NDArray[np.float64], weights: Weights, n_clusters: int, n_init: int, random_state: int) -> Any:
    """Return the fitted KMeans of least inertia.

    Parameters
    ----------
    points : ndarray of shape (n_points, 2)
        As K-means sees them; at least `n_clusters` of them are different.
    weights : ndarray of shape (n_points,)
        How many users each point stands for.
    n_init : int
        Runs of k-means++.
    random_state : int
        Seed of these runs and of the swaps.
    """
    best = lloyd(points, "k-means++", n_clusters, weights, n_init=n_init, random_state=random_state)
    rng = np.random.default_rng(random_state)
    for _ in range(MOST_ROUNDS):
        starts = swapped(points, weights, best.cluster_centers_, rng)
        trials = (lloyd(points, centers, n_clusters, weights) for centers in starts)
        found = min(trials, key=lambda model: model.inertia_, default=best)
        if not found.inertia_ < best.inertia_ * (1 - WORTH):
            break
        best = found
    return best


def refined(points: NDArray[np.float64], centers: NDArray[np.float64], weights: Weights | None = None) -> Fitted:
    """Run Lloyd on users, from these centres until they hardly move; one without users stays where it is.

    scikit-learn's takes ten times as long for the two or three iterations that are left: most of it goes into
    preparing a run. Distances are not taken from products of matrices, so equal users get the same label anywhere.
    Points that stand for users (`weights`) are few enough to go on until no centre moves.
    """
    tolerance = TOLERANCE * np.mean([column.var() for column in points.T]) if weights is None else 0.0
    for _ in range(MOST_ITERATIONS):
        means = means_of_nearest(points, centers, weights)
        moved, centers = ((means - centers) ** 2).sum(), means
        if moved <= tolerance:
            break
    labels, inertia = np.empty(len(points), np.int32), 0.0
    for part, nearest, distances in in_parts(points, centers):
        labels[part] = nearest
        inertia += float((distances**2 * (1 if weights is None else weights[part])).sum())
    return Fitted(labels, centers, inertia)


def means_of_nearest(
    points: NDArray[np.float64], centers: NDArray[np.float64], weights: Weights | None
) -> NDArray[np.float64]:
    """Return the mean of the users nearest to each centre; a centre without users stays where it is."""
    sums = np.zeros((len(centers), 3))  # of users, and of both coordinates
    lanes = np.arange(BLOCK_ROWS) % LANES
    for part, nearest, _ in in_parts(points, centers):
        users = None if weights is None else weights[part]
        coordinates = (column if users is None else users * column for column in points[part].T)
        lane = LANES * nearest.astype(np.intp) + lanes[: len(nearest)]
        for column, values in enumerate([users, *coordinates]):
            found = np.bincount(lane, values, LANES * len(centers))
            sums[:, column] += found.reshape(-1, LANES).sum(axis=1)
    n_users = sums[:, :1]
    return np.divide(sums[:, 1:], n_users, out=centers.copy(), where=n_users > 0)


def in_parts(
    points: NDArray[np.float64], centers: NDArray[np.float64]
) -> Iterator[tuple[slice, NDArray[np.int32], NDArray[np.float64]]]:
    """Yield points in parts: the slice, the number of the nearest centre of each, and its distance."""
    from scipy.cluster.vq import vq

    for start in range(0, len(points), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        yield part, *vq(points[part], centers)


def lloyd(
    points: NDArray[np.float64],
    init: NDArray[np.float64] | str,
    n_clusters: int,
    weights: Weights,
    **runs: int,
) -> Any:
    """Return KMeans, fitted to points with weights, from these centres or by runs of k-means++."""
    model = kmeans_class()(n_clusters, init=init, **{"n_init": 1, **runs})
    with warnings.catch_warnings():
        # "Fewer distinct clusters than n_clusters": beside totals of 1e16 small differences are lost to rounding.
        warnings.simplefilter("ignore")
        return model.fit(points, sample_weight=weights)


def swapped(
    points: NDArray[np.float64], weights: Weights, centers: NDArray[np.float64], rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Yield centres of which one lies elsewhere, drawn as k-means++ draws: where much is far from all others."""
    distances = ((points[:, None, :] - centers) ** 2).sum(axis=2)
    for at in range(len(centers)) if len(centers) > 1 else ():
        others = np.delete(centers, at, axis=0)
        missing = weights * np.delete(distances, at, axis=1).min(axis=1)
        if total := missing.sum():
            for place in rng.choice(len(points), SWAPS, p=missing / total):
                yield np.vstack((others, points[place]))
