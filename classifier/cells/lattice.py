"""The lattice of cells in which Flink counts users (--cells), and the points that stand for the users of a cell.

A cell is a rectangle of totals: a bin of total_amount and a bin of num_transactions, both of relative width. Its number
is the one that the statements in sql/scale_out compute. They work on doubles and on whole numbers; a test compares the
constants.
"""

import numpy as np
from numpy.typing import NDArray

from classifier.features import MAX_AMOUNT

STRIDE = 1_000  # cell = STRIDE * amount bin + count bin; the largest count bin of a BIGINT is 698
AMOUNT_BINS = 256.0  # for each factor of e in 1 + total_amount
COUNT_BINS = 16.0  # for each factor of e in 1 + num_transactions
LARGEST_CELL = min(2**31, STRIDE * int(1 + AMOUNT_BINS * np.log1p(MAX_AMOUNT))) - 1  # a cell is an INT in SQL
SPREAD = (4, 2)  # points for a cell, along amount and count: with one point, Lloyd's iterations get stuck
REACH = 4.0  # cells are labelled up to this multiple of the largest totals, so that a user who moves finds a label
MAX_LATTICE_CELLS = 4_000_000  # enough for amounts up to 1e12 in 1e9 transactions

Numbers = NDArray[np.int64]
Totals = NDArray[np.float64]


def cells_at(totals: Totals) -> Numbers:
    """Return the cell of each row of totals, as SQL computes it; a total below zero counts as zero.

    Parameters
    ----------
    totals : ndarray of shape (n, 2)
        total_amount in the currency of the input, num_transactions as a count.
    """
    logarithms = np.log(1 + np.maximum(totals, 0))
    amount_bins, count_bins = np.floor(logarithms * (AMOUNT_BINS, COUNT_BINS)).astype(np.int64).T
    cells: Numbers = STRIDE * amount_bins + count_bins
    return cells


def middles(cells: Numbers) -> Totals:
    """Return the point in the middle of each cell, in the units of the input."""
    return points_in(cells, (1, 1))


def points_in(cells: Numbers, spread: tuple[int, int] = SPREAD) -> Totals:
    """Return points evenly spread over each cell, cell by cell; shape (n_cells * spread[0] * spread[1], 2).

    num_transactions is a whole number, so points are between the smallest and the largest one in the count bin.
    """
    amount_bins, count_bins = np.divmod(cells, STRIDE)
    along, across = ((np.arange(n) + 0.5) / n for n in spread)
    amounts = np.expm1((amount_bins[:, None] + along) / AMOUNT_BINS)
    low, high = whole_numbers_in(count_bins)
    counts = low[:, None] + (high - low)[:, None] * across
    shape = (len(cells), *spread)
    all_amounts = np.broadcast_to(amounts[:, :, None], shape)
    all_counts = np.broadcast_to(counts[:, None, :], shape)
    return np.column_stack((all_amounts.ravel(), all_counts.ravel()))


def whole_numbers_in(count_bins: Numbers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the smallest and the largest whole number in each count bin; its middle, twice, where it has none."""
    begin = np.expm1(count_bins / COUNT_BINS)
    end = np.expm1((count_bins + 1) / COUNT_BINS)
    middle = np.expm1((count_bins + 0.5) / COUNT_BINS)
    low = np.ceil(begin)
    high = np.ceil(end) - 1
    is_empty = low > high
    return np.where(is_empty, middle, low), np.where(is_empty, middle, high)


def corners(cells: Numbers) -> Totals:
    """Return the four outermost points of each cell at which a user can be, cell by cell; shape (4 * n_cells, 2)."""
    amount_bins, count_bins = np.divmod(cells, STRIDE)
    left = np.expm1(amount_bins / AMOUNT_BINS)
    right = np.expm1((amount_bins + 1) / AMOUNT_BINS)
    low, high = whole_numbers_in(count_bins)
    amounts = np.stack((left, left, right, right), axis=1)
    counts = np.stack((low, high, low, high), axis=1)
    return np.column_stack((amounts.ravel(), counts.ravel()))


def lattice_up_to(cells: Numbers) -> Numbers:
    """Return every cell, empty ones included, that users of these cells may reach before the next fit; ascending.

    If the largest totals are very large, cells beyond MAX_LATTICE_CELLS are left out unless they have users.
    """
    if not len(cells):
        return np.empty(0, np.int64)
    reach = np.log(REACH) * np.array((AMOUNT_BINS, COUNT_BINS))
    last_amount_bin, last_count_bin = (np.max(np.divmod(cells, STRIDE), axis=1) + reach).astype(np.int64)
    count_bins = np.arange(min(last_count_bin, STRIDE - 1) + 1)
    n_amount_bins = min(last_amount_bin + 1, LARGEST_CELL // STRIDE, MAX_LATTICE_CELLS // len(count_bins))
    return np.union1d((STRIDE * np.arange(n_amount_bins)[:, None] + count_bins).ravel(), cells)
