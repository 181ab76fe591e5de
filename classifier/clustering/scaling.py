"""--scale: totals to the points between which K-means measures distances, and points back to totals.

`none` leaves totals as they are. `standard` subtracts the mean of each column and divides by its standard deviation.
`log` takes the logarithm of both: the distance from 10 to 100 is then that from 1,000 to 10,000. For totals below zero
(refunds) it takes the logarithm of their absolute value and keeps their sign.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.int64] | NDArray[np.float64]  # how many users each row of totals represents


class Ages(NamedTuple):
    """How the columns with points in time become ages in days before the newest one, and back."""

    newest: NDArray[np.float64]  # shape (n_features,); 0 for numbers
    per_day: NDArray[np.float64]  # shape (n_features,): units a day; 0 for numbers

    @property
    def columns(self) -> NDArray[np.intp]:
        """The indices of the columns with points in time."""
        return np.flatnonzero(self.per_day)

    def flipped(self, values: NDArray[np.float64], *, to_ages: bool) -> NDArray[np.float64]:
        """Return values of shape (n, n_features) with points in time as ages, or with ages as points in time."""
        found = values.copy()
        for column in self.columns:
            newest, per_day = self.newest[column], self.per_day[column]
            each = found[:, column]
            found[:, column] = (newest - each) / per_day if to_ages else newest - each * per_day
        return found


class Scaling(NamedTuple):
    """A fitted scale. Points and totals have the same shape, (n, n_features)."""

    name: str = "none"
    scaler: Any = None  # for `standard`: a fitted StandardScaler of scikit-learn
    ages: Ages | None = None  # None without points in time

    def numbers(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return totals with points in time as ages in days before the newest one; the argument itself without any."""
        return totals if self.ages is None else self.ages.flipped(totals, to_ages=True)

    def points(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the points of totals."""
        numbers = self.numbers(totals)
        if self.name == "log":
            points: NDArray[np.float64] = np.abs(numbers)
            # In place: with many users, allocating another array takes as long as the logarithm.
            return np.copysign(np.log1p(points, out=points), numbers, out=points)
        return numbers if self.scaler is None else self.scaler.transform(numbers)

    def totals(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the totals of points, in the units of the input: the inverse of `points`."""
        if self.name == "log":
            numbers: NDArray[np.float64] = np.sign(points) * np.expm1(np.abs(points))
        else:
            numbers = points if self.scaler is None else self.scaler.inverse_transform(points)
        return numbers if self.ages is None else self.ages.flipped(numbers, to_ages=False)

    def nearest(self, totals: NDArray[np.float64], centers: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return the index of the nearest centre for each row; both arguments in the units of the input."""
        from scipy.cluster.vq import vq

        indices: NDArray[np.int32] = vq(self.points(totals), self.points(centers))[0]
        return indices


def scale_suffix(name: str) -> str:
    """Return ', scale log' to append to a title, '' for totals that are not scaled."""
    return "" if name == "none" else f", scale {name}"


def fit_scaling(
    name: str, totals: NDArray[np.float64], weights: Weights | None = None, units_per_day: Sequence[int] = ()
) -> Scaling:
    """Return the scale of this name, fitted to these totals with these weights.

    `units_per_day` has for each column how many units of a point in time a day has, 0 for numbers.
    """
    if not len(totals):
        return Scaling(name)
    ages = None
    if any(units_per_day):
        per_day = np.array(units_per_day, np.float64)
        ages = Ages(totals.max(axis=0) * (per_day > 0), per_day)
    if name != "standard":
        return Scaling(name, ages=ages)
    from sklearn.preprocessing import StandardScaler

    columns = np.asfortranarray(Scaling(ages=ages).numbers(totals))  # ten times as fast
    return Scaling(name, StandardScaler().fit(columns, sample_weight=weights), ages)
