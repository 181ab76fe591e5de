"""The visible part of the cluster plot, and the number of users of each label in each of its bins."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.features import LABEL
from classifier.reports.plot import spread_counts
from dashboard.axes import Axes, coordinates
from dashboard.table import Snapshot

N_COLUMNS = 80  # of bins, along the horizontal axis
N_ROWS = 50  # along the vertical axis, unless that has a row for each label
EVERY_LABEL = (-0.5, 2.0**31)


class Window(NamedTuple):
    """The values that are visible, in the units of the input; both limits are included."""

    low: tuple[float, float]  # on the horizontal and the vertical axis
    high: tuple[float, float]

    def contains(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return for each point whether it is visible."""
        within = (points >= self.low) & (points <= self.high)
        return within[:, 0] & within[:, 1]

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """Lowest and highest value on the horizontal axis, then those on the vertical one."""
        return self.low[0], self.high[0], self.low[1], self.high[1]

    def with_limits(self, *limits: float | None) -> "Window":
        """Return a window with these four limits, in the order of `limits`; None keeps the limit of this window."""
        left, right, bottom, top = (old if new is None else new for new, old in zip(limits, self.limits, strict=True))
        return Window((left, bottom), (max(left, right), max(bottom, top)))


class Frame(NamedTuple):
    """The ends of both axes, as coordinates."""

    low: NDArray[np.float64]  # shape (2,)
    high: NDArray[np.float64]


class Bins(NamedTuple):
    """Users counted in rectangular bins."""

    counts: NDArray[np.int64]  # shape (n_labels, n_rows, n_columns)
    x: NDArray[np.float64]  # coordinates of the centres of the columns
    y: NDArray[np.float64]  # the same of the rows
    sizes: NDArray[np.float64]  # shape (2,): width and height of a bin


def full_window(snapshot: Snapshot, names: tuple[str, str]) -> Window:
    """Return the window that contains all users."""
    points = snapshot.points(names)
    ends = [(float(column.min()), float(column.max())) for column in points.T]
    first, second = (EVERY_LABEL if name == LABEL else each for name, each in zip(names, ends, strict=True))
    return Window((first[0], second[0]), (first[1], second[1]))


def frame_of(window: Window, axes: Axes) -> Frame:
    """Return the ends of the axes, with a margin around the window."""
    ends = [axis.frame(*limits) for axis, limits in zip(axes, zip(*window, strict=True), strict=True)]
    low, high = np.array(ends).T
    return Frame(low, high)


def count_bins(snapshot: Snapshot, window: Window, axes: Axes) -> Bins:
    """Count the users of each label in each bin of a window."""
    points = snapshot.points((axes[0].name, axes[1].name))
    inside = window.contains(points)
    frame = frame_of(window, axes)
    n_rows = axes[1].n_labels or N_ROWS
    sizes = (frame.high - frame.low) / (N_COLUMNS, n_rows)
    spread = spread_counts(points[inside], [axis.is_spread for axis in axes])
    indices = ((coordinates(spread, axes) - frame.low) / sizes).astype(np.int64)
    columns = indices[:, 0].clip(0, N_COLUMNS - 1)
    rows = indices[:, 1].clip(0, n_rows - 1)
    flat = (snapshot.present_labels[inside] * n_rows + rows) * N_COLUMNS + columns
    counts = np.bincount(flat, minlength=snapshot.n_labels * n_rows * N_COLUMNS)
    return Bins(
        counts.reshape(snapshot.n_labels, n_rows, N_COLUMNS),
        frame.low[0] + (np.arange(N_COLUMNS) + 0.5) * sizes[0],
        frame.low[1] + (np.arange(n_rows) + 0.5) * sizes[1],
        sizes,
    )
