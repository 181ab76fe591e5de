"""scikit-learn as it is used here: imported beside other work, kept to one thread."""

import functools
import importlib
import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Of scikit-learn's: it is of no use here, and warns where /dev/shm cannot be written to.
os.environ.setdefault("JOBLIB_MULTIPROCESSING", "0")


class Clusters(NamedTuple):
    """The result of one fit."""

    labels: NDArray[np.int32]  # shape (n_users,)
    centers: NDArray[np.float64]  # shape (n_clusters, 2), ascending total_amount


Cluster = Callable[[NDArray[np.float64], int], Clusters]  # (totals, n_clusters) -> the fit


def import_meanwhile(module: str) -> None:
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
