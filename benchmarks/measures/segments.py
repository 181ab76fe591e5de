"""Real customers, CDNOW's, fed by date: how many labels move from step to step, and how good the clusters are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.summary import Summary
from tests.support.cdnow import N_PURCHASES
from tests.support.customers import customers

STEP_PURCHASES = 1_000
SCALES, FITS, N_CLUSTERS = ("none", "standard", "log"), ("users", "cells"), (3, 5, 8)
SEED = 1
"""Not the client's: its runs are not among those that it is compared with."""


@dataclass(frozen=True)
class Moves:
    """How many labels move while the customers buy."""

    scale: str
    fit: str
    n_clusters: int
    percent: Summary
    """Of the customers of before each step, those who have another label after it."""


@dataclass(frozen=True)
class Inertia:
    """How good the clusters of all customers are."""

    scale: str
    n_clusters: int
    users: float
    """With --fit users, without what one-hot user_id adds."""
    cells: float
    least: float
    """Of many runs of k-means++ on all users."""
    n_runs: int

    @property
    def percent_above(self) -> float:
        """What cells lose; below zero where they find more."""
        return 100 * (self.cells / self.least - 1)


@dataclass(frozen=True)
class Segments:
    """Both."""

    n_customers: int
    moves: list[Moves]
    inertias: list[Inertia]


def segments(n_runs: int) -> Segments:
    """Fit as the client does, in this process; `n_runs` are those that cells are compared with."""
    moved = [moves(scale, fit, n_clusters) for scale in SCALES for n_clusters in N_CLUSTERS for fit in FITS]
    inertias = [inertia(scale, n_clusters, n_runs) for scale in SCALES for n_clusters in N_CLUSTERS]
    return Segments(len(customers().numbers), moved, inertias)


def moves(scale: str, fit: str, n_clusters: int) -> Moves:
    """Feed the purchases."""
    return Moves(scale, fit, n_clusters, Summary.of(list(percents_moved(scale, fit, n_clusters))))


def percents_moved(scale: str, fit: str, n_clusters: int) -> Iterator[float]:
    """Yield the percentage of each step."""
    from user_classifier import cluster

    known, labels = np.empty(0, np.int64), np.empty(0, np.int32)
    for n_purchases in range(STEP_PURCHASES, N_PURCHASES, STEP_PURCHASES):
        numbers, totals = customers(n_purchases)
        found = cluster(totals, n_clusters, scale=scale, fit=fit).labels
        if len(known):
            yield 100 * float((found[np.searchsorted(numbers, known)] != labels).mean())
        known, labels = numbers, found


def inertia(scale: str, n_clusters: int, n_runs: int) -> Inertia:
    """Compare what both fits find among all customers with the best of many runs."""
    from sklearn.cluster import KMeans

    from user_classifier import cluster

    totals = customers().totals
    users, cells = (cluster(totals, n_clusters, scale=scale, fit=fit) for fit in FITS)
    one_hot = len(totals) - n_clusters if scale == "none" else 0
    points = cells.scaling.points(totals)
    least = KMeans(n_clusters, n_init=n_runs, random_state=SEED).fit(points).inertia_
    return Inertia(scale, n_clusters, users.inertia - one_hot, cells.inertia, float(least), n_runs)
