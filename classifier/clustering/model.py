"""One fit, its result, and scikit-learn as it is used here: imported beside other work, kept to one thread."""

import functools
import importlib
import os
import threading
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from classifier.clustering.scaling import Scaling, Weights

# Of scikit-learn's: it is of no use here, and warns where /dev/shm cannot be written to.
os.environ.setdefault("JOBLIB_MULTIPROCESSING", "0")

RANDOM_STATE = 42  # seed of every random choice of the client: the same users give the same labels on every run
BLOCK_ROWS = 2**16  # rows computed together: their intermediate results stay in a processor's cache
FIRST_USERS = 1_000  # looked at first for different totals; nearly always there are enough among them


class Clusters(NamedTuple):
    """The result of one fit."""

    labels: NDArray[np.int32]  # shape (n_users,)
    centers: NDArray[np.float64]  # shape (n_clusters, 2), in the units of the input, in the order of the labels
    inertia: float = float("nan")  # sum of squared distances to the centres, where K-means measures them
    scaling: Scaling = Scaling()


class ClusterFunction(Protocol):
    """(totals, n_clusters) -> the fit; `weights` say how many users each row stands for, by default one."""

    def __call__(
        self, totals: NDArray[np.float64], n_clusters: int, /, *, weights: Weights | None = None
    ) -> Clusters: ...


def n_distinct(totals: NDArray[np.float64], at_most: int) -> int:
    """Return how many different totals there are, counting no further than `at_most`."""
    if len(totals) > FIRST_USERS and n_distinct(totals[:FIRST_USERS], at_most) == at_most:
        return at_most
    count, left = 0, totals
    while len(left) and count < at_most:
        count, left = count + 1, left[(left != left[0]).any(axis=1)]
    return count


def import_in_background(module: str) -> None:
    """Import a module beside what is done here. Limits on threads have to be set by the thread that fits."""
    threading.Thread(target=importlib.import_module, args=(module,), daemon=True).start()


@functools.cache
def kmeans_class() -> Any:
    """Import scikit-learn once (1.5 s) and keep it to one thread: a second one never helped, and sums
    taken in one order make the labels the same on every machine."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)
    return KMeans
