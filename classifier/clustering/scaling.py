"""--scale: totals as the points between which K-means measures, and points as totals again.

`none` leaves totals as they are, `standard` takes the mean from each column and divides by its standard deviation,
`log` takes the logarithm of both: 10 and 100 are then as far apart as 1,000 and 10,000. Totals below zero (refunds)
are scaled by their size and keep their sign.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.int64] | NDArray[np.float64]  # how many users each row of totals stands for


class Scaling(NamedTuple):
    """One scale. Points and totals have the same shape, (n, 2)."""

    name: str = "none"
    scaler: Any = None  # of scikit-learn, fitted: for `standard`

    def points(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return totals as points."""
        if self.name == "log":
            points: NDArray[np.float64] = np.abs(totals)  # written over: with many users, another array takes as long
            return np.copysign(np.log1p(points, out=points), totals, out=points)
        return totals if self.scaler is None else self.scaler.transform(totals)

    def totals(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points as totals, in the units of the input."""
        if self.name == "log":
            totals: NDArray[np.float64] = np.sign(points) * np.expm1(np.abs(points))
            return totals
        return points if self.scaler is None else self.scaler.inverse_transform(points)

    def nearest(self, totals: NDArray[np.float64], centers: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return the number of the nearest centre for each row; both in the units of the input."""
        from scipy.cluster.vq import vq

        numbers: NDArray[np.int32] = vq(self.points(totals), self.points(centers))[0]
        return numbers


def scale_suffix(name: str) -> str:
    """Return ', scale log' to put behind what is shown, nothing where totals are left as they are."""
    return "" if name == "none" else f", scale {name}"


def fit_scaling(name: str, totals: NDArray[np.float64], weights: Weights | None = None) -> Scaling:
    """Return the scale of this name for these totals, each row of them weighted."""
    if name != "standard" or not len(totals):
        return Scaling(name)
    from sklearn.preprocessing import StandardScaler

    columns = np.asfortranarray(totals)  # ten times as fast
    return Scaling(name, StandardScaler().fit(columns, sample_weight=weights))
