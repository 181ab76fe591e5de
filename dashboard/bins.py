"""The part of the picture that is looked at, and how many users of each label lie in each cell of it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.reports.plot import Scale, on_axes, scale_for, spread_counts
from dashboard.table import Snapshot

N_COLUMNS, N_ROWS = 80, 50
ROOM = 0.04  # of the picture, left free on each side
AUTOMATIC, LINEAR, LOGARITHMIC = AXES = ("automatic", "linear", "logarithmic")

Scales = tuple[Scale, Scale]


class Window(NamedTuple):
    """What is looked at, in the units of the input; both ends belong to it."""

    low: tuple[float, float]  # total_amount, num_transactions
    high: tuple[float, float]

    def holds(self, totals: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which rows lie in it."""
        within = (totals >= self.low) & (totals <= self.high)
        return within[:, 0] & within[:, 1]

    @property
    def ends(self) -> tuple[float, float, float, float]:
        """From and to, first of total_amount."""
        return self.low[0], self.high[0], self.low[1], self.high[1]

    def part(self, *ends: float | None) -> "Window":
        """Return what lies between four ends, in the same order; None is the end of this window."""
        low_amount, high_amount, low_count, high_count = (
            mine if end is None else end for end, mine in zip(ends, self.ends, strict=True)
        )
        return Window((low_amount, low_count), (max(low_amount, high_amount), max(low_count, high_count)))


class Frame(NamedTuple):
    """The ends of the axes, as positions on them."""

    low: NDArray[np.float64]  # shape (2,)
    high: NDArray[np.float64]


class Bins(NamedTuple):
    """Users counted in a grid."""

    counts: NDArray[np.int64]  # shape (n_labels, N_ROWS, N_COLUMNS)
    columns: NDArray[np.float64]  # positions of their middles
    rows: NDArray[np.float64]


def scales_of(snapshot: Snapshot, kind: str) -> Scales:
    """Return the scales of both axes."""
    columns = snapshot.totals[:, 0], snapshot.totals[:, 1]
    if kind == LINEAR or not len(snapshot.there):
        return Scale("linear", 1.0), Scale("linear", 1.0)
    if kind == AUTOMATIC:
        return snapshot.remembered("scales", lambda: (scale_for(columns[0]), scale_for(columns[1])))
    return scale_for(columns[0], "log"), scale_for(columns[1], "log")


def value_at(scale: Scale, position: float) -> float:
    """Return the value that lies at a position: the inverse of Scale.forward."""
    if scale.kind == "linear":
        return position
    with np.errstate(over="ignore"):
        if scale.kind == "log":
            return float(np.power(10.0, position))
        return float(np.sign(position) * scale.threshold * (np.power(10.0, abs(position)) - 1))


def whole(snapshot: Snapshot) -> Window:
    """Return the window that holds everybody."""
    low, high = snapshot.totals.min(axis=0), snapshot.totals.max(axis=0)
    return Window((float(low[0]), float(low[1])), (float(high[0]), float(high[1])))


def framed(window: Window, scales: Scales) -> Frame:
    """Return the ends of the axes, with some room around what is looked at; counts are spread when users are many."""
    least, most = window.low[1], window.high[1] + 0.5
    least = max(least - 0.5, least / 2) if least > 0 else least - 0.5  # a logarithm is taken of it
    low, high = on_axes(np.array([(window.low[0], least), (window.high[0], most)]), scales)
    room = np.where(high > low, ROOM * (high - low), 0.5)
    return Frame(low - room, high + room)


def count_bins(snapshot: Snapshot, window: Window, scales: Scales) -> Bins:
    """Count the users of each label in each cell of a window."""
    inside, frame = window.holds(snapshot.totals), framed(window, scales)
    totals, labels = spread_counts(snapshot.totals[inside]), snapshot.labels_there[inside]
    size = (frame.high - frame.low) / (N_COLUMNS, N_ROWS)
    at = ((on_axes(totals, scales) - frame.low) / size).astype(np.int64)
    column, row = at[:, 0].clip(0, N_COLUMNS - 1), at[:, 1].clip(0, N_ROWS - 1)
    cell = (labels * N_ROWS + row) * N_COLUMNS + column
    counts = np.bincount(cell, minlength=snapshot.n_labels * N_ROWS * N_COLUMNS)
    middles = [
        low + (np.arange(n) + 0.5) * step for low, step, n in zip(frame.low, size, (N_COLUMNS, N_ROWS), strict=True)
    ]
    return Bins(counts.reshape(snapshot.n_labels, N_ROWS, N_COLUMNS), *middles)
