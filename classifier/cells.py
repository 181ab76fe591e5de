"""--fit cells: users with nearly the same totals taken together, so that many runs of k-means++ cost little.

A cell is a rectangle in the plane of the logarithms of both totals. It stands for its users with their mean and their
number. Which cells there are depends on the table alone.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COARSEST, FINEST = 32.0, 2.0**20  # cells for a factor of e in the totals
ENOUGH_CELLS = 2_000  # with fewer, the cells and not the users would decide which clustering is best
MOST_COUNTED = 2**24  # cells of a lattice that are counted one by one; of a larger one, those that are occupied


class Cells(NamedTuple):
    """Users taken together."""

    totals: NDArray[np.float64]  # shape (n_cells, 2): means of the users of each cell, in the units of the input
    weights: NDArray[np.int64]  # shape (n_cells,): their number


def cells_of(totals: NDArray[np.float64]) -> Cells:
    """Return the cells of the coarsest lattice that parts the users into enough of them.

    A few users are each a cell.

    Parameters
    ----------
    totals : ndarray of shape (n_users, 2)
        total_amount in the currency of the input, num_transactions as a count.
    """
    if len(totals) <= ENOUGH_CELLS:
        return Cells(totals, np.ones(len(totals), np.int64))
    logarithms = np.sign(totals) * np.log1p(np.abs(totals))
    fineness = COARSEST
    while True:
        cell_of, weights = occupied(np.floor(fineness * logarithms).astype(np.int64))
        if len(weights) >= ENOUGH_CELLS or fineness >= FINEST or all_alike(totals, cell_of, len(weights)):
            break
        fineness *= 2
    sums = [np.bincount(cell_of, column, minlength=len(weights)) for column in totals.T]
    return Cells(np.column_stack(sums) / weights[:, None], weights)


def occupied(places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the cells in which there are users; return the number of each user's, and how many users each has."""
    places = places - places.min(axis=0)
    ids = places[:, 0] * (places[:, 1].max() + 1) + places[:, 1]
    if ids.max() > MOST_COUNTED:
        _, cell_of, weights = np.unique(ids, return_inverse=True, return_counts=True)
        return cell_of, weights
    counts = np.bincount(ids)
    there = np.flatnonzero(counts)
    number = np.empty(len(counts), np.int64)
    number[there] = np.arange(len(there))
    return number[ids], counts[there]


def all_alike(totals: NDArray[np.float64], cell_of: NDArray[np.int64], n_cells: int) -> bool:
    """Return whether no cell has users with different totals: a finer lattice would give the same."""
    of_one = np.empty((n_cells, 2))
    of_one[cell_of] = totals
    return bool((of_one[cell_of] == totals).all())
