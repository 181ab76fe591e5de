"""Real customers, CDNOW's, fed by date: how many labels move from step to step, and how good the clusters are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.summary import Summary
from tests.support.cdnow import N_PURCHASES
from tests.support.customers import customers

STEP_PURCHASES = 1_000
SCALES, FITS = ("none", "standard", "log"), ("users", "cells")
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
    n_runs: int
    """Of k-means++ on all users; the least inertia of these is what others are compared with."""
    users: float
    """Percent above it with --fit users, without what one-hot user_id adds."""
    cells: float
    """The same with --fit cells; below zero where it is better."""


@dataclass(frozen=True)
class Segments:
    """Both."""

    n_customers: int
    moves: list[Moves]
    inertias: list[Inertia]


def segments(numbers: Sequence[int], n_runs: int) -> Segments:
    """Fit each number of clusters as the client does, in this process; `n_runs` are what cells are compared with."""
    moved = [moves(scale, fit, n_clusters) for scale in SCALES for n_clusters in numbers for fit in FITS]
    inertias = [inertia(scale, n_clusters, n_runs) for scale in SCALES for n_clusters in numbers]
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
    least = KMeans(n_clusters, n_init=n_runs, random_state=SEED).fit(cells.scaling.points(totals)).inertia_
    above = [100 * float(each / least - 1) for each in (users.inertia - one_hot, cells.inertia)]
    return Inertia(scale, n_clusters, n_runs, *above)
