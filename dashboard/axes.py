"""The axes of the cluster plot: features of the output, or the label, which has a row for each of its values."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.features import LABEL, Feature
from classifier.reports.plot import Scale, on_axes, scale_for, short
from dashboard.table import Snapshot
from dashboard.times import MAX_TICKS, time_text, time_ticks
from dashboard.values import heading

AUTOMATIC = "automatic"
LINEAR = "linear"
LOGARITHMIC = "logarithmic"
AXES = (AUTOMATIC, LINEAR, LOGARITHMIC)
EVEN = Scale("linear", 1.0)
MARGIN = 0.04  # on each side of the plot, as a share of its size


class Axis(NamedTuple):
    """One axis. Coordinates are those of its scale; of points in time the numbers in the records."""

    feature: Feature  # of the label: a feature of this name
    scale: Scale = EVEN
    n_labels: int = 0  # rows on an axis of labels, 0 on any other

    @property
    def name(self) -> str:
        """The name of the feature, or 'label'."""
        return self.feature.name

    @property
    def title(self) -> str:
        """The name, with what is to be known about the scale."""
        return heading(self.feature) if self.scale.kind == "linear" else f"{self.name} (logarithmic)"

    @property
    def is_time(self) -> bool:
        """Whether values are points in time."""
        return self.feature.units_per_day > 0

    @property
    def is_spread(self) -> bool:
        """Whether a value n is spread over n - 0.5 to n + 0.5 in bins: whole numbers and days leave others empty."""
        return self.feature.is_whole and self.feature.units_per_day < 2 and not self.n_labels

    def value_at(self, coordinate: float) -> float:
        """Return the value at a coordinate: the inverse of Scale.forward."""
        return value_at(self.scale, coordinate)

    def about(self, coordinate: float, bin_size: float) -> str:
        """Return the value in the middle of a bin as text."""
        value = self.value_at(coordinate)
        if not self.is_time:
            return short(float(f"{value:.3g}"))
        return time_text(self.feature, value, "D" if bin_size >= self.feature.units_per_day else "s")

    def frame(self, low: float, high: float) -> tuple[float, float]:
        """Return the ends of the axis as coordinates, with a margin around these values."""
        if self.n_labels:
            return -0.5, self.n_labels - 0.5
        if self.is_spread:
            # Above 0, for its logarithm.
            low = max(low - 0.5, low / 2) if low > 0 else low - 0.5
            high += 0.5
        first, last = self.scale.forward(np.array([low, high])).tolist()
        margin = MARGIN * (last - first) if last > first else 0.5 * max(1, self.feature.units_per_day)
        return first - margin, last + margin

    def ticks(self, ends: tuple[float, float]) -> tuple[list[float], list[str]] | None:
        """Return coordinates to mark between two others, and their texts; None for evenly spaced numbers."""
        if self.is_time:
            return time_ticks(self.feature, ends)
        if self.scale.kind == "linear":
            return None
        values = ticks(self.scale, ends)
        return self.scale.forward(np.array(values)).tolist(), [short(value) for value in values]


Axes = tuple[Axis, Axis]


def axes_of(snapshot: Snapshot, names: tuple[str, str], kind: str) -> Axes:
    """Return the axes of two columns; `kind` is one of AXES."""
    first, second = (axis_of(snapshot, name, kind) for name in names)
    return first, second


def axis_of(snapshot: Snapshot, name: str, kind: str) -> Axis:
    """Return the axis of one column. Points in time and labels are always linear."""
    if name == LABEL:
        return Axis(Feature(LABEL, "int"), n_labels=max(1, snapshot.n_labels))
    feature = snapshot.features.by_name[name]
    if feature.units_per_day or kind == LINEAR or not len(snapshot.present):
        return Axis(feature)
    fitted_on = "log" if kind == LOGARITHMIC else "none"
    scale = snapshot.cached(("scale", name, kind), lambda: scale_for(snapshot.column(name), fitted_on))
    return Axis(feature, scale)


def coordinates(points: NDArray[np.float64], axes: Axes) -> NDArray[np.float64]:
    """Return the coordinates of points of shape (n, 2)."""
    return on_axes(points, [axis.scale for axis in axes])


def value_at(scale: Scale, coordinate: float) -> float:
    """Return the value at a coordinate: the inverse of Scale.forward."""
    if scale.kind == "linear":
        return coordinate
    with np.errstate(over="ignore"):
        if scale.kind == "log":
            return float(np.power(10.0, coordinate))
        return float(np.sign(coordinate) * scale.threshold * (np.power(10.0, abs(coordinate)) - 1))


def ticks(scale: Scale, ends: tuple[float, float]) -> list[float]:
    """Return the values to mark between two coordinates: powers of ten, or evenly spaced ones if those are too few."""
    low, high = (value_at(scale, end) for end in ends)
    found = [value for value in scale.ticks(np.array([low, high])) if low <= value <= high]
    if len(found) >= 3:
        return found
    step = 10.0 ** np.floor(np.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= MAX_TICKS)
    return [
        float(f"{value:.12g}")
        for value in (np.arange(np.ceil(low / step - 1e-6), np.floor(high / step + 1e-6) + 1) * step)
    ]
