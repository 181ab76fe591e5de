"""The customers of CDNOW by date of purchase: how many labels change per step, and how good the clusters are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.summary import Summary
from tests.support.cdnow import N_PURCHASES
from tests.support.customers import customers

STEP_PURCHASES = 1_000
SCALES = ("none", "standard", "log")
FITS = ("users", "cells")
SEED = 1
"""Different from the client's, so that the reference runs are independent of it."""


@dataclass(frozen=True)
class Moves:
    """How many labels change per step."""

    scale: str
    fit: str
    n_clusters: int
    percent: Summary
    """Share of the customers before a step who have another label after it, over all steps."""


@dataclass(frozen=True)
class Inertia:
    """How good the clusters of all customers are, compared with the best of many runs."""

    scale: str
    n_clusters: int
    n_runs: int
    """Reference runs of k-means++ on all users."""
    users: float
    """Percent above their least inertia with --fit users, without the constant part of one-hot user_id."""
    cells: float
    """The same with --fit cells; negative if it is better."""


@dataclass(frozen=True)
class Segments:
    """All measurements of the customers of CDNOW."""

    n_customers: int
    moves: list[Moves]
    inertias: list[Inertia]


def segments(numbers: Sequence[int], n_runs: int) -> Segments:
    """Fit each number of clusters as the client does, in this process, and compare with `n_runs` reference runs."""
    changed = [moves(scale, fit, n_clusters) for scale in SCALES for n_clusters in numbers for fit in FITS]
    inertias = [inertia(scale, n_clusters, n_runs) for scale in SCALES for n_clusters in numbers]
    return Segments(len(customers().numbers), changed, inertias)


def moves(scale: str, fit: str, n_clusters: int) -> Moves:
    """Measure the share of changed labels over all steps."""
    return Moves(scale, fit, n_clusters, Summary.of(list(percents_moved(scale, fit, n_clusters))))


def percents_moved(scale: str, fit: str, n_clusters: int) -> Iterator[float]:
    """Yield the percentage of customers with a new label, step by step."""
    from user_classifier import cluster

    known = np.empty(0, np.int64)
    labels = np.empty(0, np.int32)
    for n_purchases in range(STEP_PURCHASES, N_PURCHASES, STEP_PURCHASES):
        numbers, totals = customers(n_purchases)
        found = cluster(totals, n_clusters, scale=scale, fit=fit).labels
        if len(known):
            yield 100 * float((found[np.searchsorted(numbers, known)] != labels).mean())
        known = numbers
        labels = found


def inertia(scale: str, n_clusters: int, n_runs: int) -> Inertia:
    """Compare both fits on all customers with the best of `n_runs`."""
    from tests.support.kmeans import fitted_kmeans
    from user_classifier import cluster

    totals = customers().totals
    users = cluster(totals, n_clusters, scale=scale, fit="users")
    cells = cluster(totals, n_clusters, scale=scale, fit="cells")
    one_hot = len(totals) - n_clusters if scale == "none" else 0
    reference = fitted_kmeans(cells.scaling.points(totals), n_clusters, n_init=n_runs, random_state=SEED)
    return Inertia(
        scale,
        n_clusters,
        n_runs,
        users=100 * float((users.inertia - one_hot) / reference.inertia_ - 1),
        cells=100 * float(cells.inertia / reference.inertia_ - 1),
    )
