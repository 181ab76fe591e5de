"""Expected labels of --cells, by independent code: one fit on the counts, a label for each cell."""

import math
from collections.abc import Iterable, Mapping
from itertools import product

import numpy as np

from tests.support.kmeans import fitted_kmeans

AMOUNT_BINS = 256
COUNT_BINS = 16
STRIDE = 1000

Counts = Mapping[int, int]
"""cell -> number of users in it"""


def cell_of(total_amount: float, num_transactions: float) -> int:
    """The cell of a user."""
    column = math.floor(AMOUNT_BINS * math.log(1 + max(total_amount, 0)))
    return STRIDE * column + math.floor(COUNT_BINS * math.log(1 + max(num_transactions, 0)))


def counted(totals: Iterable[tuple[float, int]]) -> dict[int, int]:
    """The number of users in each cell."""
    found: dict[int, int] = {}
    for row in totals:
        found[cell_of(*row)] = found.get(cell_of(*row), 0) + 1
    return found


def points(cell: int, columns: int, rows: int) -> list[tuple[float, float]]:
    """Points spread over a cell: evenly over the logarithm of the amount, and over the whole numbers of its row."""
    column, row = divmod(cell, STRIDE)
    whole = [n for n in range(first_of(row), first_of(row + 1) + 2) if math.floor(COUNT_BINS * math.log(1 + n)) == row]
    low, high = (whole[0], whole[-1]) if whole else (math.exp((row + 0.5) / COUNT_BINS) - 1,) * 2
    amounts = [math.exp((column + (i + 0.5) / columns) / AMOUNT_BINS) - 1 for i in range(columns)]
    counts = [low + (high - low) * (i + 0.5) / rows for i in range(rows)]
    return list(product(amounts, counts))


def first_of(row: int) -> int:
    """The first whole number of a row, or the one before it."""
    return max(0, math.floor(math.exp(row / COUNT_BINS) - 1))


def centers(counts: Counts, n_clusters: int) -> list[tuple[float, float]]:
    """Centers of one fit, in ascending order of total_amount."""
    spread = (4, 2) if len(counts) > n_clusters else (1, 1)
    given = [(point, n) for cell, n in sorted(counts.items()) for point in points(cell, *spread)]
    rows = np.array([point for point, _ in given])
    weights = [float(n) for _, n in given]
    if sum(counts.values()) < n_clusters:
        return [tuple(np.average(rows, axis=0, weights=weights))]
    number = min(n_clusters, len(rows))
    model = fitted_kmeans(rows, number, weights, n_init=30, random_state=7, tol=0)
    return sorted((float(x), float(y)) for x, y in model.cluster_centers_)


def lattice(counts: Counts, reach: float) -> list[int]:
    """Every cell up to `reach` times the largest totals."""
    last_column = max(cell // STRIDE for cell in counts) + math.log(reach) * AMOUNT_BINS
    last_row = max(cell % STRIDE for cell in counts) + math.log(reach) * COUNT_BINS
    return [STRIDE * column + row for column in range(int(last_column) + 1) for row in range(int(last_row) + 1)]


def labels(counts: Counts, n_clusters: int, reach: float = 4.0) -> dict[int, int]:
    """The label of each cell; empty without users."""
    counts = {cell: n for cell, n in counts.items() if n}
    if not counts:
        return {}
    found = np.array(centers(counts, n_clusters))
    cells = lattice(counts, reach)
    columns = {cell // STRIDE for cell in cells}
    rows = {cell % STRIDE for cell in cells}
    amounts = {column: points(STRIDE * column, 1, 1)[0][0] for column in columns}
    numbers = {row: points(row, 1, 1)[0][1] for row in rows}
    middles = np.array([(amounts[cell // STRIDE], numbers[cell % STRIDE]) for cell in cells])
    nearest = ((middles[:, None, :] - found) ** 2).sum(axis=2).argmin(axis=1)
    return dict(zip(cells, nearest.tolist(), strict=True))
