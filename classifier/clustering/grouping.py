"""--fit cells: users with nearly the same totals taken together, so that many runs of k-means++ cost little.

A cell is a rectangle in the plane of the logarithms of both totals. It stands for its users with their mean and their
number. Which cells there are depends on the table alone.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.clustering.model import BLOCK_ROWS
from classifier.clustering.scaling import Scaling, Weights

COARSEST, FINEST = 32.0, 2.0**48  # cells for a factor of e in the totals; at most what their logarithms tell apart
FINEST_OF_MANY = 256.0  # of cells that are taken together again
MANY_GROUPS = 50_000  # (points, 8 a cell, with --cells) among which a search for ten clusters takes a second or two
ENOUGH_GROUPS = 2_000  # with fewer, the cells and not the users would decide which clustering is best
MOST_PLACES = 2.0**62  # cells of a lattice, empty or not, that can be numbered
MAX_COUNTED = 2**22  # cells of a lattice that are counted one by one; of a larger one, those that have users


class Groups(NamedTuple):
    """Users taken together."""

    totals: NDArray[np.float64]  # shape (n_cells, 2): means of the users of each cell, in the units of the input
    weights: Weights  # shape (n_cells,): their number


def group_users(totals: NDArray[np.float64]) -> Groups:
    """Return the cells of the coarsest lattice that parts the users into enough of them.

    A few users are each a cell.

    Parameters
    ----------
    totals : ndarray of shape (n_users, 2)
        total_amount in the currency of the input, num_transactions as a count.
    """
    if len(totals) <= ENOUGH_GROUPS:
        return Groups(totals, np.ones(len(totals), np.int64))
    columns = np.ascontiguousarray(totals.T)  # several times as fast as rows of two
    logarithms = Scaling("log").points(columns)
    for fineness in resolutions(logarithms):
        cell_of, weights = assign_groups(logarithms, fineness)
        if len(weights) >= ENOUGH_GROUPS or all_uniform(columns, cell_of, len(weights)):
            break
    else:  # nearly all lie at one place, seen from the few that lie very far away
        _, cell_of, weights = np.unique(totals, axis=0, return_inverse=True, return_counts=True)
        cell_of = cell_of.ravel()
    sums = [np.bincount(cell_of, column, len(weights)) for column in columns]
    return Groups(np.column_stack(sums) / weights[:, None], weights)


def resolutions(logarithms: NDArray[np.float64]) -> Iterator[float]:
    """Yield how fine each lattice is, the coarsest first; those that cannot part the users far enough are left out."""
    span = np.ptp(logarithms, axis=1)
    fineness = COARSEST
    while fineness <= FINEST and (places := (fineness * span + 2).prod()) < MOST_PLACES:
        if places >= ENOUGH_GROUPS or not span.any():
            yield fineness
        fineness *= 2


def assign_groups(logarithms: NDArray[np.float64], fineness: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the cells in which there are users; return the number of each user's, and how many users each has."""
    ends = np.array([logarithms.min(axis=1), logarithms.max(axis=1)])
    low, high = np.floor(fineness * ends).astype(np.int64)
    ids = np.empty(logarithms.shape[1], np.int64)
    for start in range(0, len(ids), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        rows, columns = np.floor(fineness * logarithms[:, part]).astype(np.int64) - low[:, None]
        ids[part] = rows * (high[1] - low[1] + 1) + columns
    if ids.max() > MAX_COUNTED:
        _, cell_of, weights = np.unique(ids, return_inverse=True, return_counts=True)
        return cell_of, weights
    counts = np.bincount(ids)
    there = np.flatnonzero(counts)
    number = np.empty(len(counts), np.int64)
    number[there] = np.arange(len(there))
    return number[ids], counts[there]


def all_uniform(columns: NDArray[np.float64], cell_of: NDArray[np.int64], n_cells: int) -> bool:
    """Return whether no cell has users with different totals: a finer lattice would give the same."""
    of_one = np.empty(n_cells)
    for column in columns:
        of_one[cell_of] = column
        if (of_one[cell_of] != column).any():
            return False
    return True


def coarsened(cells: Groups) -> Groups:
    """Return cells of cells where there are too many for many runs, else the cells as they are."""
    fineness, number, n_cells = COARSEST, np.empty(0, np.int64), 0
    if len(cells.totals) <= MANY_GROUPS:
        return cells
    columns = np.ascontiguousarray(cells.totals.T)
    logarithms = Scaling("log").points(columns)
    while n_cells < ENOUGH_GROUPS and fineness <= FINEST_OF_MANY:
        number, counts = assign_groups(logarithms, fineness)
        n_cells, fineness = len(counts), 2 * fineness
    weights = np.bincount(number, cells.weights)
    sums = [np.bincount(number, column * cells.weights) for column in columns]
    return Groups(np.column_stack(sums) / weights[:, None], weights)
