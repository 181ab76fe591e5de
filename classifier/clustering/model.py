"""The result of a fit, the function that makes it, and how the client imports scikit-learn."""

import functools
import importlib
import os
import threading
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from classifier.clustering.scaling import Scaling, Weights

# A variable of joblib, which scikit-learn imports: its processes are not used here, and setting them up warns if
# /dev/shm is not writable.
os.environ.setdefault("JOBLIB_MULTIPROCESSING", "0")

RANDOM_STATE = 42  # seed of every random choice of the client: the same users get the same labels in every run
BLOCK_ROWS = 2**16  # rows computed together: their intermediate results stay in a processor's cache
FIRST_USERS = 1_000  # examined first for distinct totals; nearly always they hold enough


class Clusters(NamedTuple):
    """The result of one fit."""

    labels: NDArray[np.int32]  # shape (n_users,)
    centers: NDArray[np.float64]  # shape (n_clusters, n_features), in the units of the input, by label
    inertia: float = float("nan")  # sum of squared distances to the centres, on the scale of the fit
    scaling: Scaling = Scaling()


class ClusterFunction(Protocol):
    """Fits: (totals, n_clusters) -> Clusters. `weights` holds how many users each row represents, by default one."""

    def __call__(
        self, totals: NDArray[np.float64], n_clusters: int, /, *, weights: Weights | None = None
    ) -> Clusters: ...


def n_distinct(totals: NDArray[np.float64], at_most: int) -> int:
    """Return the number of distinct totals, or `at_most` if there are more."""
    if len(totals) > FIRST_USERS and n_distinct(totals[:FIRST_USERS], at_most) == at_most:
        return at_most
    count = 0
    rest = totals
    while len(rest) and count < at_most:
        count += 1
        rest = rest[(rest != rest[0]).any(axis=1)]
    return count


def import_in_background(module: str) -> None:
    """Import a module in a thread. Limits on threads must still be set by the thread that fits."""
    threading.Thread(target=importlib.import_module, args=(module,), daemon=True).start()


@functools.cache
def kmeans_class() -> Any:
    """Return scikit-learn's KMeans, limited to one thread; the import takes 1.5 s.

    A second thread never made a fit faster. With one thread, sums are taken in one order, and labels are the same on
    every machine.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)
    return KMeans
