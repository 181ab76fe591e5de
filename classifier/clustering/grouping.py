"""--fit cells: group users with nearly equal totals, so that many runs of k-means++ cost little.

One or two features: a grid divides the plane of their logarithms into equal rectangles. The users in one rectangle are
a group, represented by the mean of their features and by their number.

More features: no grid is fine enough in all of them and still has few cells. A sample of the users stands for all,
each user with the number of users that it represents. Users far from the mean are drawn more often and represent
fewer (a coreset), because K-means depends on them most.

The groups depend on the table alone.

References
----------
Bachem, O., Lucic, M. and Krause, A. (2018), "Scalable k-means clustering via lightweight coresets", KDD.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.clustering.model import BLOCK_ROWS
from classifier.clustering.scaling import Scaling, Weights

# Resolution of a grid: rectangles for a factor of e in a total.
COARSEST = 32.0
FINEST = 2.0**48  # about the precision of logarithms in float64
FINEST_OF_GROUPS = 256.0  # for groups that are grouped again
MIN_GROUPS = 2_000  # with fewer, the groups and not the users would decide which clustering is best
MAX_GROUPS = 50_000  # among which a search for ten clusters takes a second or two (with --cells: points, 8 a cell)
MAX_SAMPLE = 20_000  # users of a sample
MAX_GRID_SIZE = 2.0**62  # rectangles of a grid, empty ones included, that can be numbered
MAX_COUNTED = 2**22  # rectangles counted with bincount; in a larger grid only the occupied ones are sorted


class Groups(NamedTuple):
    """Groups of users."""

    totals: NDArray[np.float64]  # shape (n_groups, n_features): mean of each group, in the units of the input
    weights: Weights  # shape (n_groups,): number of users that each group represents


def group_users(totals: NDArray[np.float64]) -> Groups:
    """Group users by the coarsest grid that gives at least MIN_GROUPS groups.

    Up to MIN_GROUPS users are a group each; with more than two features, up to MAX_SAMPLE users.

    Parameters
    ----------
    totals : ndarray of shape (n_users, n_features)
        In the units of the input.
    """
    n_features = totals.shape[1]
    if len(totals) <= (MIN_GROUPS if n_features <= 2 else MAX_SAMPLE):
        return Groups(totals, np.ones(len(totals), np.int64))
    if n_features > 2:
        return sample_users(totals)
    columns = np.ascontiguousarray(totals.T)  # several times as fast as rows of two
    logarithms = Scaling("log").points(columns)
    for resolution in resolutions(logarithms):
        group_of, weights = assign_groups(logarithms, resolution)
        if len(weights) >= MIN_GROUPS or all_uniform(columns, group_of, len(weights)):
            break
    else:  # a few users are so far away that no grid can divide the others: group only users with equal totals
        _, group_of, weights = np.unique(totals, axis=0, return_inverse=True, return_counts=True)
        group_of = group_of.ravel()
    sums = [np.bincount(group_of, column, len(weights)) for column in columns]
    return Groups(np.column_stack(sums) / weights[:, None], weights)


def sample_users(totals: NDArray[np.float64]) -> Groups:
    """Return a sample of about MAX_SAMPLE users, each with the number of users that it represents.

    The chance of a user grows with its squared distance from the mean, in the units of the input and as logarithms, so
    that a sample serves every scale. Of users in the order of the table, one is taken each time the sum of the chances
    reaches another whole number.
    """
    n_users = len(totals)
    chances = np.full(n_users, 1 / n_users)
    logarithms = Scaling("log").points(totals)
    for columns in (totals, logarithms):
        spread = columns.std(axis=0)
        centered = np.divide(columns - columns.mean(axis=0), spread, out=np.zeros_like(columns), where=spread > 0)
        squares = np.einsum("ij,ij->i", centered, centered)
        chances += squares / (squares.sum() or 1)
    expected = np.minimum(1.0, MAX_SAMPLE * chances / chances.sum())
    taken = np.diff(np.floor(np.cumsum(expected) + 0.5), prepend=0) > 0
    return Groups(totals[taken], 1 / expected[taken])


def resolutions(logarithms: NDArray[np.float64]) -> Iterator[float]:
    """Yield resolutions from coarse to fine, without those whose whole grid has fewer than MIN_GROUPS rectangles."""
    span = np.ptp(logarithms, axis=1)
    resolution = COARSEST
    while resolution <= FINEST:
        grid_size = (resolution * span + 2).prod()
        if grid_size >= MAX_GRID_SIZE:
            return
        if grid_size >= MIN_GROUPS or not span.any():
            yield resolution
        resolution *= 2


def assign_groups(logarithms: NDArray[np.float64], resolution: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Assign each user to the group of its rectangle.

    Parameters
    ----------
    logarithms : ndarray of shape (1 or 2, n_users)
    resolution : float

    Returns
    -------
    group_of : ndarray of shape (n_users,)
    n_users : ndarray of shape (n_groups,)
        Number of users of each group, at least one.
    """
    ends = np.array([logarithms.min(axis=1), logarithms.max(axis=1)])
    low, high = np.floor(resolution * ends).astype(np.int64)
    ids = np.empty(logarithms.shape[1], np.int64)  # number of the rectangle, empty ones included
    for start in range(0, len(ids), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        bins = np.floor(resolution * logarithms[:, block]).astype(np.int64) - low[:, None]
        ids[block] = bins[0] if len(bins) == 1 else bins[0] * (high[1] - low[1] + 1) + bins[1]
    if ids.max() > MAX_COUNTED:
        _, group_of, n_users = np.unique(ids, return_inverse=True, return_counts=True)
        return group_of, n_users
    counts = np.bincount(ids)
    occupied = np.flatnonzero(counts)
    group_of_id = np.empty(len(counts), np.int64)
    group_of_id[occupied] = np.arange(len(occupied))
    return group_of_id[ids], counts[occupied]


def all_uniform(columns: NDArray[np.float64], group_of: NDArray[np.int64], n_groups: int) -> bool:
    """Return whether every group has users of equal totals only: then a finer grid gives the same groups."""
    total_of_group = np.empty(n_groups)
    for column in columns:
        total_of_group[group_of] = column
        if (total_of_group[group_of] != column).any():
            return False
    return True


def coarsened(groups: Groups) -> Groups:
    """Return the groups, grouped again on a coarser grid if there are more than MAX_GROUPS."""
    if len(groups.totals) <= MAX_GROUPS or groups.totals.shape[1] > 2:
        return groups
    columns = np.ascontiguousarray(groups.totals.T)
    logarithms = Scaling("log").points(columns)
    resolution = COARSEST
    group_of, counts = assign_groups(logarithms, resolution)
    while len(counts) < MIN_GROUPS and resolution < FINEST_OF_GROUPS:
        resolution *= 2
        group_of, counts = assign_groups(logarithms, resolution)
    weights = np.bincount(group_of, groups.weights)
    sums = [np.bincount(group_of, column * groups.weights) for column in columns]
    return Groups(np.column_stack(sums) / weights[:, None], weights)
