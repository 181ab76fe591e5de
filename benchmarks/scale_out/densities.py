"""The number of users in each cell, for any number of users, sampled by cell instead of by user.

The number of users in a cell is sampled from a Poisson distribution around its mean, which equals sampling users one by
one except for their total. So 10^9 users take as long as 10^6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, pdtr

from benchmarks.scale_out.populations import COPIES
from classifier.cells.lattice import AMOUNT_BINS, STRIDE, cells_at, whole_numbers_in

Values = NDArray[np.float64]
FINE = 48
"""Numbers of transactions that represent a bin of counts."""
MAX_AMOUNT = 1e12
MAX_COUNT = 1e9
MIN_SHARE = 1e-19
"""Cells with a smaller share of the users are ignored."""


@dataclass(frozen=True)
class Density:
    """The distribution of users' numbers of transactions, and of their amounts given these."""

    at_most: Callable[[Values], Values]
    """n -> share of users with n transactions or fewer."""
    spent_at_most: Callable[[Values, Values], Values]
    """(x, n) -> share of the users with n transactions whose amount is x or less."""


def normal(mean: Values | float, deviation: Values | float) -> Callable[[Values], Values]:
    """Return the cumulative distribution function of a normal distribution."""
    return lambda x: ndtr((x - mean) / deviation)


def log(x: Values) -> Values:
    """Return the logarithm; a large negative number for 0."""
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
    """Return all cells whose share of the users is above MIN_SHARE, and the shares."""
    last_row = int(cells_at(np.array([(0.0, MAX_COUNT)]))[0])
    n_columns = int(AMOUNT_BINS * np.log1p(MAX_AMOUNT)) + 1
    edges = np.expm1(np.arange(n_columns + 1) / AMOUNT_BINS) / COPIES
    cells = []
    shares = []
    for row in range(last_row + 1):
        share = row_shares(density, row, edges)
        used = np.flatnonzero(share > MIN_SHARE)
        cells.append(STRIDE * used + row)
        shares.append(share[used])
    return np.concatenate(cells), np.concatenate(shares)


def row_shares(density: Density, row: int, edges: Values) -> Values:
    """Return the share of users in each amount bin of a count bin, which a few numbers of transactions represent."""
    (first,), (last,) = whole_numbers_in(np.array([row]))
    low = np.ceil(first / COPIES)
    high = np.floor(last / COPIES)
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


def sample(density: Density, n_users: float, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the occupied cells, ascending, and the number of users in each."""
    cells, shares = means(density)
    users = rng.poisson(n_users * shares)
    occupied = np.flatnonzero(users)
    order = np.argsort(cells[occupied])
    return cells[occupied][order], users[occupied][order]
