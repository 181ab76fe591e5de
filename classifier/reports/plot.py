"""The clusters as a picture: total_amount against num_transactions, a colour per label."""

import io
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter
from numpy.typing import NDArray

from classifier.clustering.scaling import Weights, scale_suffix
from classifier.formatting import format_percentage, format_users
from classifier.label_names import label_name
from classifier.reports.output_file import check_target
from classifier.reports.periodic import Clock, Periodic
from classifier.reports.step import Step

log = logging.getLogger("user_classifier")

REDRAW_SECONDS = 10.0
SIZE_INCHES = (10.0, 6.0)
DOTS_PER_INCH = 120
MAX_DOTS = 3_000  # users drawn one by one; more of them cover each other
N_COLUMNS = 70  # of cells, where users are counted instead: 10 pixels wide, to be seen as cells
FAR = 30.0  # largest amount over the median: beyond that most users would lie in one corner
MOST_DECADES = 10  # marked on a logarithmic axis
PALEST = 0.3  # share of its colour that a cell with a single user has
# Okabe and Ito's colours and two more, told apart by colour-blind readers too; from the eleventh label on they
# start again.
COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9"),
    *("#D55E00", "#666666", "#882255", "#F0E442", "#000000"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h", "p", "*")


class ClusterPlot(Periodic):
    """Redraws one file after a step, at most every `REDRAW_SECONDS`, and once more at the end."""

    def __init__(
        self,
        path: Path,
        names: Sequence[str] = (),
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        """ValueError if the path cannot be drawn to."""
        check_target(path)
        super().__init__(self._draw, REDRAW_SECONDS, clock)
        self._path, self._names, self._now = path, names, now

    def _draw(self, step: Step) -> None:
        try:
            save(draw(step, self._names, self._now()), self._path)
        except OSError as error:  # a full disk: no reason to stop labelling
            log.warning("%s: not drawn (%s)", self._path, error.strerror or error)


def save(figure: Figure, path: Path) -> None:
    """Write beside `path` first and then move, so that a reader never sees half a picture."""
    part, drawn = path.with_name(f".part-{path.name}"), io.BytesIO()  # matplotlib makes more of a full disk than that
    figure.savefig(drawn, dpi=DOTS_PER_INCH, format=path.suffix[1:].lower())
    try:
        part.write_bytes(drawn.getbuffer())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class Scale(NamedTuple):
    """How one column of the totals is laid along its axis: position = forward(value).

    The axes themselves stay linear, so that cells are hexagons of one size on any scale.
    """

    kind: str  # linear; log; symlog where there are values <= 0
    threshold: float  # of symlog: about linear between -threshold and threshold

    def forward(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return positions on the axis."""
        if self.kind == "linear":
            return values
        if self.kind == "log":
            return np.log10(values)
        positions: NDArray[np.float64] = np.sign(values) * np.log10(1 + np.abs(values) / self.threshold)
        return positions

    def ticks(self, values: NDArray[np.float64]) -> list[float]:
        """Return the values to mark: powers of ten, and 0 where there is one."""
        low, high = float(values.min()), float(values.max())
        if self.kind == "log":
            return decades(low / 10, high * 10)
        above = decades(self.threshold, 10 * high) if high > 0 else []
        below = decades(self.threshold, -10 * low) if low < 0 else []
        return [-value for value in reversed(below)] + [0.0, *above]


def scale_for(values: NDArray[np.float64], fitted_on: str = "none") -> Scale:
    """Choose the scale on which values can be told apart; that of the fit where it is logarithmic."""
    sizes = np.abs(values[values != 0])
    if not len(sizes) or (fitted_on != "log" and sizes.max() <= FAR * np.median(sizes)):
        return Scale("linear", 1.0)
    if values.min() > 0:
        return Scale("log", 1.0)
    return Scale("symlog", float(10 ** np.floor(np.log10(np.quantile(sizes, 0.01)))))


def decades(low: float, high: float) -> list[float]:
    """Return the powers of ten from `low` to `high`, thinned out if they are many."""
    first, last = int(np.ceil(np.log10(low))), int(np.floor(np.log10(high)))
    return [10.0**power for power in range(first, last + 1, 1 + max(0, last - first) // MOST_DECADES)]


def short(value: float) -> str:
    """Return 10k for 10,000 and 1M for 1,000,000: what fits below a tick."""
    if abs(value) >= 1e15 or 0 < abs(value) < 1e-3:
        return f"{value:.0e}"
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:g}{letter}"
    return f"{value:g}"


def draw(step: Step, names: Sequence[str], now: datetime) -> Figure:
    """Draw the clusters of a step, as dots or as density."""
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    title = f"{step.n_users:,} users{scale_suffix(step.scaling.name)}, {now:%Y-%m-%d %H:%M:%S %Z}"
    axes.set_title(title.rstrip())
    axes.grid(color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    if not len(step.labels):
        axes.set(xlabel="total_amount", ylabel="num_transactions")
        axes.text(0.5, 0.5, "no users yet", transform=axes.transAxes, ha="center")
        return figure
    scales = [scale_for(column, step.scaling.name) for column in step.totals.T]
    dots = len(step.totals) <= MAX_DOTS
    if dots:
        draw_dots(axes, on_axes(step.totals, scales), step.labels, len(step.centers))
    else:
        points = on_axes(spread_counts(step.totals), scales)
        draw_density(axes, points, step.labels, len(step.centers), step.weights)
    mark_axis(axes.xaxis, "total_amount", scales[0], step.totals[:, 0])
    mark_axis(axes.yaxis, "num_transactions", scales[1], step.totals[:, 1])
    draw_centers(axes, on_axes(step.centers, scales))
    add_legend(figure, step, names, dots)
    return figure


def on_axes(totals: NDArray[np.float64], scales: Sequence[Scale]) -> NDArray[np.float64]:
    """Return where on the axes the rows of totals lie."""
    return np.column_stack([scale.forward(totals[:, column]) for column, scale in enumerate(scales)])


def spread_counts(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread num_transactions evenly over n - 0.5 to n + 0.5: whole numbers leave rows of cells empty."""
    spread = np.random.default_rng(0).uniform(-0.5, 0.5, len(totals))
    return np.column_stack((totals[:, 0], totals[:, 1] + spread))


def mark_axis(axis: Axis, name: str, scale: Scale, values: NDArray[np.float64]) -> None:
    """Name an axis, and mark values on it."""
    axis.set_label_text(name if scale.kind == "linear" else f"{name} (logarithmic)")
    if scale.kind == "linear":
        return
    low, high = axis.get_view_interval()
    ticks = scale.ticks(values)
    positions = scale.forward(np.array(ticks))
    axis.set_major_locator(FixedLocator(positions.tolist()))
    axis.set_major_formatter(FixedFormatter([short(tick) for tick in ticks]))
    between = scale.forward(np.outer(ticks, np.arange(2, 10)).ravel())
    axis.set_minor_locator(FixedLocator(between.tolist()))
    axis.set_view_interval(low, high, ignore=True)


def colour_of(label: int) -> str:
    """Return the colour of a label."""
    return COLOURS[label % len(COLOURS)]


def draw_dots(axes: Axes, points: NDArray[np.float64], labels: NDArray[np.int32], n_labels: int) -> None:
    """Draw every user, larger the fewer there are."""
    size = float(np.clip(20_000 / len(points), 10, 70))
    for label in range(n_labels):
        x, y = points[labels == label].T
        marker = MARKERS[label % len(MARKERS)]
        axes.scatter(x, y, s=size, c=colour_of(label), marker=marker, alpha=0.8, edgecolors="white", linewidths=0.3)
    axes.margins(0.08)


def draw_density(
    axes: Axes, points: NDArray[np.float64], labels: NDArray[np.int32], n_labels: int, weights: Weights | None = None
) -> None:
    """Draw hexagons: the colour of the label that most users in it have, the deeper the more users."""
    low, high = points.min(axis=0), points.max(axis=0)
    room = np.where(high > low, 0.02 * (high - low), 0.5)
    (left, bottom), (right, top) = low - room, high + room
    cells, counts = count_hexagons(axes, points, labels, n_labels, (left, right, bottom, top), weights)
    axes.add_collection(cells)
    paint(cells, counts)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    add_depths(axes, float(counts.sum(axis=0).max()))


def count_hexagons(
    axes: Axes,
    points: NDArray[np.float64],
    labels: NDArray[np.int32],
    n_labels: int,
    extent: tuple[float, float, float, float],
    weights: Weights | None = None,
) -> tuple[PolyCollection, NDArray[np.float64]]:
    """Return the cells, and the users of each label in each of them, of shape (n_labels, n_cells)."""
    counts = []
    for label in range(n_labels):  # one grid for all labels, so that their counts can be compared cell by cell
        here = labels == label
        x, y = points[here].T
        how: dict[str, Any] = {} if weights is None else {"C": weights[here], "reduce_C_function": np.sum}
        cells: PolyCollection = axes.hexbin(x, y, gridsize=N_COLUMNS, extent=extent, mincnt=0, **how)
        counts.append(np.asarray(cells.get_array()))
        cells.remove()
    return cells, np.array(counts)


def paint(cells: PolyCollection, counts: NDArray[np.float64]) -> None:
    """Colour each cell by its most frequent label; `counts` is of shape (n_labels, n_cells)."""
    colours = np.array([to_rgb(colour_of(label)) for label in range(len(counts))])
    total = counts.sum(axis=0)
    depth = PALEST + (1 - PALEST) * np.log(np.maximum(total, 1)) / np.log(max(float(total.max()), 2))
    mixed = 1 - depth[:, None] * (1 - colours[counts.argmax(axis=0)])  # towards white
    cells.set_array(None)
    cells.set(facecolors=np.column_stack((mixed, total > 0)), edgecolors="none")


def add_depths(axes: Axes, most: float) -> None:
    """Tell how many users the depths of a colour stand for, in grey."""
    greys = LinearSegmentedColormap.from_list("greys", [(1 - PALEST,) * 3, (0.0,) * 3])
    depths = ScalarMappable(LogNorm(1, max(most, 2)), cmap=greys)
    ticks = FuncFormatter(lambda value, at: short(value))
    axes.figure.colorbar(depths, ax=axes, label="users per cell", format=ticks, pad=0.01, fraction=0.04)


def draw_centers(axes: Axes, centers: NDArray[np.float64]) -> None:
    """Mark each centre with the number of its label."""
    for label, (x, y) in enumerate(centers.tolist()):
        # Not opaque: the only user of a label lies right behind its centre.
        box = {"boxstyle": "circle,pad=0.25", "facecolor": "#FFFFFFB0", "edgecolor": colour_of(label), "linewidth": 2}
        axes.text(x, y, str(label), ha="center", va="center", fontsize=10, fontweight="bold", bbox=box, zorder=5)


def add_legend(figure: Figure, step: Step, names: Sequence[str], dots: bool) -> None:
    """Tell name, number and share of the users of each label, beside the picture."""
    handles = []
    for label, count in enumerate(step.users_of_labels):
        text = f"{label_name(label, names)}\n{format_users(count)}, {format_percentage(count, step.n_users)}"
        style: dict[str, Any] = {"marker": MARKERS[label % len(MARKERS)] if dots else "h", "color": colour_of(label)}
        handles.append(Line2D([], [], linestyle="none", markersize=9, label=text.replace("$", r"\$"), **style))
    figure.legend(handles=handles, loc="outside right upper", title="label (number at its centre)", frameon=False)
