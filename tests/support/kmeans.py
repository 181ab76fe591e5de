"""Expected clusterings by scikit-learn alone."""

from typing import Any

from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits


def fitted_kmeans(points: Any, n_clusters: int, weights: Any = None, **options: Any) -> Any:
    """Return a KMeans fitted to an array or a sparse matrix, on one thread.

    Several threads add up sums in an order that differs from run to run: the last bits differ, and with them, at times,
    the labels. The client fits on one thread for the same reason.
    """
    model = KMeans(n_clusters, **options)
    with threadpool_limits(1):
        return model.fit(points, sample_weight=weights)
