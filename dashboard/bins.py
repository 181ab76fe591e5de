"""The visible part of the cluster plot, and the number of users of each label in each of its bins."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.reports.plot import Scale, on_axes, scale_for, spread_counts
from dashboard.table import Snapshot

N_AMOUNT_BINS = 80  # along the axis of total_amount
N_COUNT_BINS = 50  # along the axis of num_transactions
MARGIN = 0.04  # on each side of the plot, as a share of its size
AUTOMATIC = "automatic"
LINEAR = "linear"
LOGARITHMIC = "logarithmic"
AXES = (AUTOMATIC, LINEAR, LOGARITHMIC)

Scales = tuple[Scale, Scale]


class Window(NamedTuple):
    """The totals that are visible, in the units of the input; both limits are included."""

    low: tuple[float, float]  # total_amount, num_transactions
    high: tuple[float, float]

    def contains(self, totals: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return for each row of totals whether it is visible."""
        within = (totals >= self.low) & (totals <= self.high)
        return within[:, 0] & within[:, 1]

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """Lowest and highest total_amount, then lowest and highest num_transactions."""
        return self.low[0], self.high[0], self.low[1], self.high[1]

    def with_limits(self, *limits: float | None) -> "Window":
        """Return a window with these four limits, in the order of `limits`; None keeps the limit of this window."""
        low_amount, high_amount, low_count, high_count = (
            old if new is None else new for new, old in zip(limits, self.limits, strict=True)
        )
        return Window((low_amount, low_count), (max(low_amount, high_amount), max(low_count, high_count)))


class Frame(NamedTuple):
    """The ends of both axes, as coordinates."""

    low: NDArray[np.float64]  # shape (2,)
    high: NDArray[np.float64]


class Bins(NamedTuple):
    """Users counted in rectangular bins."""

    counts: NDArray[np.int64]  # shape (n_labels, N_COUNT_BINS, N_AMOUNT_BINS)
    amounts: NDArray[np.float64]  # coordinates of the centres of the bins on the axis of total_amount
    transactions: NDArray[np.float64]  # the same on the axis of num_transactions


def axis_scales(snapshot: Snapshot, axes: str) -> Scales:
    """Return the scales of both axes."""
    amounts = snapshot.totals[:, 0]
    counts = snapshot.totals[:, 1]
    if axes == LINEAR or not len(snapshot.present):
        return Scale("linear", 1.0), Scale("linear", 1.0)
    if axes == AUTOMATIC:
        return snapshot.cached("scales", lambda: (scale_for(amounts), scale_for(counts)))
    return scale_for(amounts, "log"), scale_for(counts, "log")


def value_at(scale: Scale, coordinate: float) -> float:
    """Return the value at a coordinate: the inverse of Scale.forward."""
    if scale.kind == "linear":
        return coordinate
    with np.errstate(over="ignore"):
        if scale.kind == "log":
            return float(np.power(10.0, coordinate))
        return float(np.sign(coordinate) * scale.threshold * (np.power(10.0, abs(coordinate)) - 1))


def full_window(snapshot: Snapshot) -> Window:
    """Return the window that contains all users."""
    low = snapshot.totals.min(axis=0)
    high = snapshot.totals.max(axis=0)
    return Window((float(low[0]), float(low[1])), (float(high[0]), float(high[1])))


def frame_of(window: Window, scales: Scales) -> Frame:
    """Return the ends of the axes, with a margin around the window and its counts, which are spread by 0.5."""
    low_count = window.low[1]
    high_count = window.high[1] + 0.5
    if low_count > 0:
        low_count = max(low_count - 0.5, low_count / 2)  # above 0, for its logarithm
    else:
        low_count -= 0.5
    low, high = on_axes(np.array([(window.low[0], low_count), (window.high[0], high_count)]), scales)
    margin = np.where(high > low, MARGIN * (high - low), 0.5)
    return Frame(low - margin, high + margin)


def count_bins(snapshot: Snapshot, window: Window, scales: Scales) -> Bins:
    """Count the users of each label in each bin of a window."""
    inside = window.contains(snapshot.totals)
    frame = frame_of(window, scales)
    totals = spread_counts(snapshot.totals[inside])
    labels = snapshot.present_labels[inside]
    bin_sizes = (frame.high - frame.low) / (N_AMOUNT_BINS, N_COUNT_BINS)
    indices = ((on_axes(totals, scales) - frame.low) / bin_sizes).astype(np.int64)
    amount_bins = indices[:, 0].clip(0, N_AMOUNT_BINS - 1)
    count_bins = indices[:, 1].clip(0, N_COUNT_BINS - 1)
    flat = (labels * N_COUNT_BINS + count_bins) * N_AMOUNT_BINS + amount_bins
    counts = np.bincount(flat, minlength=snapshot.n_labels * N_COUNT_BINS * N_AMOUNT_BINS)
    return Bins(
        counts.reshape(snapshot.n_labels, N_COUNT_BINS, N_AMOUNT_BINS),
        frame.low[0] + (np.arange(N_AMOUNT_BINS) + 0.5) * bin_sizes[0],
        frame.low[1] + (np.arange(N_COUNT_BINS) + 0.5) * bin_sizes[1],
    )
