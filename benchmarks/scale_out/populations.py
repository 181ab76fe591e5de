"""Five synthetic populations and CDNOW: totals as statement 4 computes them, with each transaction counted twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Totals = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Totals]
COPIES = 2
"""Each transaction is in two windows of HOP."""


def seed(rng: np.random.Generator, n_users: int) -> Totals:
    """The workshop's data: about 50 transactions each, amounts uniform from 0 to 99; one blob, 16 % wide."""
    counts = rng.poisson(50, n_users)
    amounts = np.round(counts * 49.5 + np.sqrt(counts) * 28.87 * rng.standard_normal(n_users))
    return doubled(np.maximum(amounts, 0), counts)


def gamma(rng: np.random.Generator, n_users: int) -> Totals:
    """Gamma-Poisson counts, gamma amounts: broad, without groups."""
    counts = 1 + rng.poisson(rng.gamma(1.5, 20, n_users))
    return doubled(counts * rng.gamma(4, 12, n_users), counts)


def lognormal(rng: np.random.Generator, n_users: int) -> Totals:
    """Lognormal counts and amounts, as of real customers."""
    counts = 1 + rng.poisson(rng.lognormal(2, 1, n_users))
    return doubled(counts * rng.lognormal(3.5, 0.8, n_users), counts)


def mixture(rng: np.random.Generator, n_users: int) -> Totals:
    """Three groups with increasing counts and amounts."""
    kind = rng.choice(3, n_users, p=[0.7, 0.25, 0.05])
    activity = np.array([5, 30, 120])[kind]
    basket = np.array([20, 45, 90])[kind]
    counts = 1 + rng.poisson(activity * rng.gamma(6, 1 / 6, n_users))
    return doubled(counts * basket * rng.gamma(12, 1 / 12, n_users), counts)


def pareto(rng: np.random.Generator, n_users: int) -> Totals:
    """Amounts of infinite variance: a few users spend most."""
    counts = 1 + rng.poisson(rng.gamma(1, 10, n_users))
    return doubled(counts * 10 * (1 + rng.pareto(1.5, n_users)), counts)


def doubled(amounts: NDArray[Any], counts: NDArray[Any]) -> Totals:
    """Return totals with amounts rounded to cents, each transaction counted twice."""
    return COPIES * np.column_stack((np.round(amounts, 2), counts.astype(np.float64)))


POPULATIONS: Mapping[str, Draw] = {each.__name__: each for each in (seed, gamma, lognormal, mixture, pareto)}


def cdnow(path: Path) -> Totals:
    """Return the totals of the customers of CDNOW, in the order of their numbers."""
    rows = np.loadtxt(path, skiprows=1)
    _, customer = np.unique(rows[:, 0], return_inverse=True)
    return doubled(np.bincount(customer, rows[:, 3]), np.bincount(customer))
