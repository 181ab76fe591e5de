"""The clustering of the original program: a data frame, a dense one-hot matrix of user_id, KMeans."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import OneHotEncoder

from tests.support.changelog import Row
from tests.support.kmeans import fitted_kmeans


class Clustering(NamedTuple):
    """The cluster number of each row, and the sum of squared distances to the centers."""

    numbers: NDArray[np.int32]
    inertia: float


def cluster(rows: list[Row], n_clusters: int) -> Clustering:
    """Cluster the rows as the original does; clusters are numbered in no order."""
    frame = pd.DataFrame(rows, columns=["user_id", "total_amount", "num_transactions"])
    encoder = OneHotEncoder(sparse_output=False)
    one_hot = pd.DataFrame(
        encoder.fit_transform(frame[["user_id"]]), columns=encoder.get_feature_names_out(["user_id"])
    )
    matrix = pd.concat([one_hot, frame.drop(columns="user_id")], axis=1).to_numpy()
    model = fitted_kmeans(matrix, n_clusters, init="k-means++", n_init="auto", random_state=42)
    return Clustering(model.labels_, float(model.inertia_))
