"""The cost of the client's part: one fit on cells, and the labels of all cells, in a separate process."""

from __future__ import annotations

import multiprocessing
import resource
import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.cells.lattice import SPREAD, lattice_up_to, middles, points_in
from user_classifier import cluster


class ClientCost(NamedTuple):
    """The cost of one step, in CPU seconds."""

    fit_seconds: float
    label_seconds: float
    peak_mib: float


def client_cost(cells: NDArray[np.int64], users: NDArray[np.int64], n_clusters: int) -> ClientCost:
    """Fit and label once in a new process; memory is its peak."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, (cells, users, n_clusters))


def measured(cells: NDArray[np.int64], users: NDArray[np.int64], n_clusters: int) -> ClientCost:
    """Fit and label once in this process."""
    cluster(np.ones((n_clusters + 1, 2)), 1, weights=np.ones(n_clusters + 1))  # imports scikit-learn
    began = time.process_time()
    n_points = SPREAD[0] * SPREAD[1]
    found = cluster(points_in(cells), n_clusters, weights=np.repeat(users / n_points, n_points))
    fitted = time.process_time()
    found.scaling.nearest(middles(lattice_up_to(cells)), found.centers)
    now = time.process_time()
    return ClientCost(fitted - began, now - fitted, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
