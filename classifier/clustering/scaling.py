"""--scale: totals to the points between which K-means measures distances, and points back to totals.

`none` leaves totals as they are. `standard` subtracts the mean of each column and divides by its standard deviation.
`log` takes the logarithm of 1 + the total: the distance from 100 to 1,000 is about that from 1,000 to 10,000, but
totals around 1 and below are close together, so the result depends on their unit. `log-standard` first divides each
column by a tenth of its median, and then does `log` and `standard`; no unit has an influence. For totals below zero
(refunds) both take the logarithm of the absolute value and keep the sign.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LOGARITHMIC = ("log", "log-standard")  # scales with logarithms
# `log-standard` takes the logarithm of 1 + MEDIAN * size / median size. Of 1 to 1,000, 10 gave the labels of CDNOW's
# customers that tell most of who buys again; a larger one puts users with 0 far from all others.
MEDIAN = 10.0
SMALLEST_UNIT = 1e-150  # squares of a total in this unit are finite, as MAX_AMOUNT is 1e150

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
    scaler: Any = None  # for `standard` and `log-standard`: a fitted StandardScaler of scikit-learn
    ages: Ages | None = None  # None without points in time
    units: NDArray[np.float64] | None = None  # for `log-standard`, shape (n_features,): what counts as 1 of a feature

    def numbers(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return totals with points in time as ages in days before the newest one; the argument itself without any."""
        return totals if self.ages is None else self.ages.flipped(totals, to_ages=True)

    def points(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the points of totals."""
        points = self.numbers(totals)
        if self.name in LOGARITHMIC:
            numbers = points
            points = np.abs(numbers)
            if self.units is not None:
                points /= self.units
            # In place: with many users, allocating another array takes as long as the logarithm.
            np.copysign(np.log1p(points, out=points), numbers, out=points)
        return points if self.scaler is None else self.scaler.transform(points)

    def totals(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the totals of points, in the units of the input: the inverse of `points`."""
        numbers = points if self.scaler is None else self.scaler.inverse_transform(points)
        if self.name in LOGARITHMIC:
            numbers = np.sign(numbers) * np.expm1(np.abs(numbers))
            if self.units is not None:
                numbers *= self.units
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
    scaling = Scaling(name, ages=ages)
    if name not in ("standard", "log-standard"):
        return scaling
    if name == "log-standard":
        units = [typical_size(column, weights) / MEDIAN for column in scaling.numbers(totals).T]
        scaling = scaling._replace(units=np.maximum(units, SMALLEST_UNIT))
    from sklearn.preprocessing import StandardScaler

    columns = np.asfortranarray(scaling.points(totals))  # ten times as fast
    return scaling._replace(scaler=StandardScaler().fit(columns, sample_weight=weights))


def typical_size(numbers: NDArray[np.float64], weights: Weights | None = None) -> float:
    """Return the median absolute value of the numbers that are not 0; 1 if all are.

    Without those: of a feature that most users have none of, the median would be 0.
    """
    is_some = numbers != 0
    if not is_some.any():
        return 1.0
    return median(np.abs(numbers[is_some]), None if weights is None else weights[is_some])


def median(values: NDArray[np.float64], weights: Weights | None = None) -> float:
    """Return the median, each value counted with its weight."""
    if weights is None:
        return float(np.median(values))
    ascending = np.argsort(values)
    ends = np.cumsum(weights[ascending])
    middle = [int(np.searchsorted(ends, ends[-1] / 2, side)) for side in ("left", "right")]
    return float(values[ascending[np.minimum(middle, len(values) - 1)]].mean())


def variance_shares(points: NDArray[np.float64], weights: Weights | None = None) -> NDArray[np.float64]:
    """Return for each column of points its share of the sum of their variances; zeros if no column varies.

    K-means minimises squared distances, so this is the influence that a feature can have on the labels.
    """
    means = np.average(points, axis=0, weights=weights)
    variances = np.array(
        [np.average((column - mean) ** 2, weights=weights) for column, mean in zip(points.T, means, strict=True)]
    )
    return variances / (variances.sum() or 1.0)
