"""How many users lie in each cell, for any number of users: drawn cell by cell and not user by user.

The number of users in a cell is drawn from the Poisson distribution of its mean, which is what drawing users one by one
comes to, up to their total. So a thousand million users take as long as a million.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, pdtr

from benchmarks.scale_out.populations import COPIES
from classifier.cells.lattice import AMOUNT_BINS, STRIDE, cells_at, whole_numbers_of

Values = NDArray[np.float64]
FINE = 48
"""Numbers of transactions that stand for all of a row."""
LARGEST_AMOUNT, LARGEST_COUNT = 1e12, 1e9
LEAST_SHARE = 1e-19
"""Share of the users in a cell below which it is left out of the drawing."""


@dataclass(frozen=True)
class Density:
    """A population: how users' numbers of transactions, and their amounts given these, are distributed."""

    at_most: Callable[[Values], Values]
    """Share of users with that many transactions or fewer."""
    spent_at_most: Callable[[Values, Values], Values]
    """Share of the users with so many transactions whose amount is that or less."""


def normal(mean: Values | float, deviation: Values | float) -> Callable[[Values], Values]:
    """Share of a normal distribution below."""
    return lambda x: ndtr((x - mean) / deviation)


def log(x: Values) -> Values:
    """The logarithm, far below for nothing."""
    return np.log(np.maximum(x, 1e-300))


DENSITIES: Mapping[str, Density] = {
    "seed": Density(lambda n: pdtr(n, 50.0), lambda x, n: normal(49.5 * n, 28.87 * np.sqrt(np.maximum(n, 1e-9)))(x)),
    "lognormal": Density(lambda n: normal(2.0, 1.0)(log(n)), lambda x, n: normal(log(n) + 3.5, 0.8)(log(x))),
    "pareto": Density(
        lambda n: 1 - np.exp(-np.maximum(n, 0) / 10),
        lambda x, n: 1 - np.minimum(1, 10 * n / np.maximum(x, 1e-300)) ** 1.5,
    ),
}


def means(density: Density) -> tuple[NDArray[np.int64], Values]:
    """Return every cell with a share of the users worth mentioning, and that share."""
    last_row = int(cells_at(np.array([(0.0, LARGEST_COUNT)]))[0])
    n_columns = int(AMOUNT_BINS * np.log1p(LARGEST_AMOUNT)) + 1
    edges = np.expm1(np.arange(n_columns + 1) / AMOUNT_BINS) / COPIES
    cells, shares = [], []
    for row in range(last_row + 1):
        share = of_row(density, row, edges)
        there = np.flatnonzero(share > LEAST_SHARE)
        cells.append(STRIDE * there + row)
        shares.append(share[there])
    return np.concatenate(cells), np.concatenate(shares)


def of_row(density: Density, row: int, edges: Values) -> Values:
    """Return the share of users in each column of a row; several numbers of transactions stand for all of it."""
    (first,), (last,) = whole_numbers_of(np.array([row]))
    low, high = np.ceil(first / COPIES), np.floor(last / COPIES)
    if high < low:
        return np.zeros(len(edges) - 1)
    steps: Values = np.unique(np.round(np.linspace(low, high + 1, min(int(high - low) + 2, FINE + 1))))
    weights = np.diff(density.at_most(steps - 1))
    middle = (steps[:-1] + steps[1:] - 1) / 2
    found = np.zeros(len(edges) - 1)
    for n, weight in zip(middle, weights, strict=True):
        if weight > 0:
            found += weight * np.diff(density.spent_at_most(edges, np.full(len(edges), n, np.float64)))
    return found


def drawn(density: Density, n_users: float, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the cells in which there are users, ascending, and how many each has."""
    cells, shares = means(density)
    users = rng.poisson(n_users * shares)
    there = np.flatnonzero(users)
    order = np.argsort(cells[there])
    return cells[there][order], users[there][order]
