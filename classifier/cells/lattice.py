"""The cells in which Flink counts users (--cells): where one lies, and points that stand for its users.

A cell is a rectangle of totals, a column of total_amount and a row of num_transactions, both of relative width. Its
number is that of sql/scale_out, on doubles as on whole numbers; a test holds the constants together.
"""

import numpy as np
from numpy.typing import NDArray

from classifier.row import MAX_AMOUNT

STRIDE = 1_000  # cell = STRIDE * column + row; the largest row of a BIGINT is 698
AMOUNT_BINS = 256.0  # for each factor of e in 1 + total_amount
COUNT_BINS = 16.0  # for each factor of e in 1 + num_transactions
LARGEST = min(2**31, STRIDE * int(1 + AMOUNT_BINS * np.log1p(MAX_AMOUNT))) - 1  # a cell is an INT in SQL
SPREAD = (4, 2)  # points for each cell, along total_amount and num_transactions: with one, Lloyd's steps get stuck
REACH = 4.0  # cells are labelled up to this many times the largest totals, so that who moves finds a label

LARGEST_LATTICE = 4_000_000  # cells, as for amounts up to 1e12 in a thousand million transactions

Numbers = NDArray[np.int64]
Totals = NDArray[np.float64]


def cells_at(totals: Totals) -> Numbers:
    """Return the cell in which each row of totals lies, as SQL computes it; below zero counts as zero.

    Parameters
    ----------
    totals : ndarray of shape (n, 2)
        total_amount in the currency of the input, num_transactions as a count.
    """
    logarithms = np.log(1 + np.maximum(totals, 0))
    columns, rows = np.floor(logarithms * (AMOUNT_BINS, COUNT_BINS)).astype(np.int64).T
    found: Numbers = STRIDE * columns + rows
    return found


def middles(cells: Numbers) -> Totals:
    """Return the point in the middle of each cell, in the units of the input."""
    return points_in(cells, (1, 1))


def points_in(cells: Numbers, spread: tuple[int, int] = SPREAD) -> Totals:
    """Return points evenly spread over each cell; shape (n_cells * columns * rows, 2), cell by cell.

    num_transactions is a whole number, so points lie between the smallest and the largest of a row.
    """
    columns, rows = np.divmod(cells, STRIDE)
    along, across = ((np.arange(n) + 0.5) / n for n in spread)
    amounts = np.expm1((columns[:, None] + along) / AMOUNT_BINS)
    low, high = whole_numbers_of(rows)
    counts = low[:, None] + (high - low)[:, None] * across
    shape = (len(cells), *spread)
    amounts, counts = np.broadcast_to(amounts[:, :, None], shape), np.broadcast_to(counts[:, None, :], shape)
    return np.column_stack((amounts.ravel(), counts.ravel()))


def whole_numbers_of(rows: Numbers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the smallest and the largest whole number in each row; the middle, twice, where there is none."""
    begin, end = np.expm1(rows / COUNT_BINS), np.expm1((rows + 1) / COUNT_BINS)
    low, high = np.ceil(begin), np.ceil(end) - 1
    middle, empty = np.expm1((rows + 0.5) / COUNT_BINS), low > high
    return np.where(empty, middle, low), np.where(empty, middle, high)


def corners(cells: Numbers) -> Totals:
    """Return the four outermost points of each cell in which a user can be; shape (4 * n_cells, 2), cell by cell."""
    columns, rows = np.divmod(cells, STRIDE)
    left, right = np.expm1(columns / AMOUNT_BINS), np.expm1((columns + 1) / AMOUNT_BINS)
    low, high = whole_numbers_of(rows)
    amounts, counts = np.stack((left, left, right, right), axis=1), np.stack((low, high, low, high), axis=1)
    return np.column_stack((amounts.ravel(), counts.ravel()))


def lattice_up_to(cells: Numbers) -> Numbers:
    """Return every cell, empty ones too, to which users of these cells may come until the next fit; ascending.

    Where someone lies too far away for that, cells beyond LARGEST_LATTICE are left out unless users are in them.
    """
    if not len(cells):
        return np.empty(0, np.int64)
    far = np.log(REACH) * np.array((AMOUNT_BINS, COUNT_BINS))
    last_column, last_row = (np.max(np.divmod(cells, STRIDE), axis=1) + far).astype(np.int64)
    rows = np.arange(min(last_row, STRIDE - 1) + 1)
    n_columns = min(last_column + 1, LARGEST // STRIDE, LARGEST_LATTICE // len(rows))
    return np.union1d((STRIDE * np.arange(n_columns)[:, None] + rows).ravel(), cells)
