"""Users of five kinds, drawn one by one: their totals as statement 4 makes them, each transaction counted twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Totals = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Totals]
COPIES = 2
"""Windows of HOP in which each transaction lies."""


def seed(rng: np.random.Generator, n_users: int) -> Totals:
    """The workshop's own: about 50 transactions each, amounts uniform from 0 to 99; one blob, 16 % wide."""
    counts = rng.poisson(50, n_users)
    amounts = np.round(counts * 49.5 + np.sqrt(counts) * 28.87 * rng.standard_normal(n_users))
    return doubled(np.maximum(amounts, 0), counts)


def gamma(rng: np.random.Generator, n_users: int) -> Totals:
    """Gamma-Poisson activity, gamma baskets: broad, without groups."""
    counts = 1 + rng.poisson(rng.gamma(1.5, 20, n_users))
    return doubled(counts * rng.gamma(4, 12, n_users), counts)


def lognormal(rng: np.random.Generator, n_users: int) -> Totals:
    """Activity and basket lognormal: as customers are."""
    counts = 1 + rng.poisson(rng.lognormal(2, 1, n_users))
    return doubled(counts * rng.lognormal(3.5, 0.8, n_users), counts)


def mixture(rng: np.random.Generator, n_users: int) -> Totals:
    """Three kinds of people, who buy more and dearer from one to the next."""
    kind = rng.choice(3, n_users, p=[0.7, 0.25, 0.05])
    activity, basket = np.array([5, 30, 120])[kind], np.array([20, 45, 90])[kind]
    counts = 1 + rng.poisson(activity * rng.gamma(6, 1 / 6, n_users))
    return doubled(counts * basket * rng.gamma(12, 1 / 12, n_users), counts)


def pareto(rng: np.random.Generator, n_users: int) -> Totals:
    """Amounts of infinite variance: a few spend nearly all."""
    counts = 1 + rng.poisson(rng.gamma(1, 10, n_users))
    return doubled(counts * 10 * (1 + rng.pareto(1.5, n_users)), counts)


def doubled(amounts: NDArray[Any], counts: NDArray[Any]) -> Totals:
    """Totals to the hundredth, twice."""
    return COPIES * np.column_stack((np.round(amounts, 2), counts.astype(np.float64)))


POPULATIONS: Mapping[str, Draw] = {each.__name__: each for each in (seed, gamma, lognormal, mixture, pareto)}


def cdnow(path: Path) -> Totals:
    """The customers of CDNOW, in order of their number."""
    rows = np.loadtxt(path, skiprows=1)
    _, customer = np.unique(rows[:, 0], return_inverse=True)
    return doubled(np.bincount(customer, rows[:, 3]), np.bincount(customer))
