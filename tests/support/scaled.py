"""Expected labels on each scale, by independent code: the scales as documented, and scikit-learn."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from tests.support.kmeans import fitted_kmeans

Points = NDArray[np.float64]


def points(totals: Points, scale: str, of: Points | None = None) -> Points:
    """Totals as points; on a scale fitted to these totals or to others."""
    found: Points = pipeline(scale).fit(totals if of is None else of).transform(totals)
    return found


def pipeline(scale: str) -> Pipeline:
    """The scale as a pipeline of scikit-learn."""
    steps: dict[str, list[Any]] = {
        "none": [FunctionTransformer()],
        "standard": [StandardScaler()],
        "log": [FunctionTransformer(signed_log)],
        "log-standard": [MedianTen(), FunctionTransformer(signed_log), StandardScaler()],
    }
    return make_pipeline(*steps[scale])


def signed_log(numbers: Points) -> Points:
    """The logarithm of 1 + the size of each number, with the sign of the number."""
    found: Points = np.sign(numbers) * np.log1p(np.abs(numbers))
    return found


class MedianTen(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Multiplies each column so that the median size of its numbers other than 0 becomes 10."""

    def fit(self, numbers: Points, y: None = None) -> "MedianTen":
        """Take the medians of a table."""
        sizes = np.where(numbers == 0, np.nan, np.abs(numbers))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a column of zeros
            self.medians_ = np.nan_to_num(np.nanmedian(sizes, axis=0), nan=1.0)
        return self

    def transform(self, numbers: Points) -> Points:
        """Multiply the columns."""
        found: Points = numbers / self.medians_ * 10
        return found


def labels(
    table: Mapping[str, tuple[float, int]], n_clusters: int, scale: str, n_init: int = 1
) -> tuple[dict[str, int], float]:
    """Labels and inertia of the best of `n_init` fits: rows in the order of user_id, labels by mean total_amount."""
    users = sorted(table)
    totals = np.array([table[user] for user in users], np.float64)
    model = fitted_kmeans(points(totals, scale), n_clusters, n_init=n_init, random_state=42)
    ranks = ranks_by_amount(totals, model.labels_)
    return {user: ranks[number] for user, number in zip(users, model.labels_.tolist(), strict=True)}, model.inertia_


def ranks_by_amount(totals: Points, numbers: NDArray[np.int32]) -> list[int]:
    """The label of each cluster number."""
    means = [totals[numbers == number, 0].mean() for number in range(numbers.max() + 1)]
    ranks: list[int] = np.argsort(np.argsort(means)).tolist()
    return ranks
