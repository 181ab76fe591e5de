"""--scale: totals to the points between which K-means measures distances, and points back to totals.

`none` leaves totals as they are. `standard` subtracts the mean of each column and divides by its standard deviation.
`log` takes the logarithm of both: the distance from 10 to 100 is then that from 1,000 to 10,000. For totals below zero
(refunds) it takes the logarithm of their absolute value and keeps their sign.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.int64] | NDArray[np.float64]  # how many users each row of totals represents


class Scaling(NamedTuple):
    """A fitted scale. Points and totals have the same shape, (n, 2)."""

    name: str = "none"
    scaler: Any = None  # for `standard`: a fitted StandardScaler of scikit-learn

    def points(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the points of totals."""
        if self.name == "log":
            points: NDArray[np.float64] = np.abs(totals)
            # In place: with many users, allocating another array takes as long as the logarithm.
            return np.copysign(np.log1p(points, out=points), totals, out=points)
        return totals if self.scaler is None else self.scaler.transform(totals)

    def totals(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the totals of points, in the units of the input: the inverse of `points`."""
        if self.name == "log":
            totals: NDArray[np.float64] = np.sign(points) * np.expm1(np.abs(points))
            return totals
        return points if self.scaler is None else self.scaler.inverse_transform(points)

    def nearest(self, totals: NDArray[np.float64], centers: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return the index of the nearest centre for each row; both arguments in the units of the input."""
        from scipy.cluster.vq import vq

        indices: NDArray[np.int32] = vq(self.points(totals), self.points(centers))[0]
        return indices


def scale_suffix(name: str) -> str:
    """Return ', scale log' to append to a title, '' for totals that are not scaled."""
    return "" if name == "none" else f", scale {name}"


def fit_scaling(name: str, totals: NDArray[np.float64], weights: Weights | None = None) -> Scaling:
    """Return the scale of this name, fitted to these totals with these weights."""
    if name != "standard" or not len(totals):
        return Scaling(name)
    from sklearn.preprocessing import StandardScaler

    columns = np.asfortranarray(totals)  # ten times as fast
    return Scaling(name, StandardScaler().fit(columns, sample_weight=weights))
