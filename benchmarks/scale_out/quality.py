"""The quality of labels by cells compared with labels by users: inertia on all users, and share of equal labels."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.scale_out.populations import POPULATIONS, Totals, cdnow
from classifier.cells.intake import users_at_borders
from classifier.cells.lattice import SPREAD, cells_at, middles, points_in
from classifier.clustering.scaling import Scaling
from user_classifier import cluster

N_CLUSTERS = (3, 5, 10)
SEED = 1


@dataclass(frozen=True)
class Quality:
    """The result for one population and one number of clusters."""

    population: str
    n_users: int
    n_clusters: int
    n_cells: int
    lost: float
    """Increase of inertia over the fit on users; negative if the fit on cells finds a better optimum."""
    same: float
    """Share of users with the same label."""
    at_borders: float
    """Share of users in cells that a border between clusters crosses."""
    users_seconds: float
    """CPU seconds of the fit on users."""
    cells_seconds: float
    """CPU seconds of the fit on cells."""


def qualities(n_users: int, customers: Path | None = None) -> Iterator[Quality]:
    """Compare for every population and number of clusters; also the customers of CDNOW, if their file is given."""
    for name, draw in POPULATIONS.items():
        totals = draw(np.random.default_rng(SEED), n_users)
        yield from (quality(name, totals, k) for k in N_CLUSTERS)
    if customers is not None:
        yield from (quality("CDNOW", cdnow(customers), k) for k in N_CLUSTERS)


def quality(name: str, totals: Totals, n_clusters: int) -> Quality:
    """Fit on users as the client does by default, and on their cells as with --cells."""
    began = time.process_time()
    by_users = cluster(totals, n_clusters)
    users_seconds = time.process_time() - began
    cells, index, counts = np.unique(cells_at(totals), return_inverse=True, return_counts=True)
    began = time.process_time()
    n_points = SPREAD[0] * SPREAD[1]
    found = cluster(points_in(cells), n_clusters, weights=np.repeat(counts / n_points, n_points))
    cells_seconds = time.process_time() - began
    labels = found.scaling.nearest(middles(cells), found.centers)[index]
    return Quality(
        population=name,
        n_users=len(totals),
        n_clusters=n_clusters,
        n_cells=len(cells),
        lost=inertia(totals, labels) / inertia(totals, by_users.labels) - 1,
        same=float((labels == by_users.labels).mean()),
        at_borders=users_at_borders(cells, counts, found.centers, Scaling()) / len(totals),
        users_seconds=users_seconds,
        cells_seconds=cells_seconds,
    )


def inertia(totals: Totals, labels: NDArray[np.int32]) -> float:
    """Return the sum of squared distances of users to the mean of their label."""
    groups = (totals[labels == label] for label in np.unique(labels))
    return float(sum(((group - group.mean(axis=0)) ** 2).sum() for group in groups))


def markdown_lines(found: list[Quality]) -> list[str]:
    """Return the table of docs/scale-out.md."""
    cost = "Fit on users, CPU seconds | Fit on cells, CPU seconds"
    head = [f"| Users | k | Cells | Inertia lost | Same label | Users at borders | {cost} |"]
    head.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    return head + [
        f"| {each.population} | {each.n_clusters} | {each.n_cells:,} | {100 * each.lost:.4f} % |"
        f" {100 * each.same:.2f} % | {100 * each.at_borders:.2f} % | {each.users_seconds:.2f} |"
        f" {each.cells_seconds:.2f} |"
        for each in found
    ]
