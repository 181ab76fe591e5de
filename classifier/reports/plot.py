"""A picture of the clusters: two features against each other, or a histogram of one; one colour for each label."""

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
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter
from numpy.typing import NDArray

from classifier.clustering.scaling import LOGARITHMIC, Weights, scale_suffix
from classifier.features import Feature
from classifier.formatting import format_percentage, format_users
from classifier.label_names import label_name
from classifier.reports.output_file import check_path, part_of
from classifier.reports.periodic import Clock, Periodic
from classifier.reports.step import Step

log = logging.getLogger("user_classifier")

REDRAW_SECONDS = 10.0
SIZE_INCHES = (10.0, 6.0)
DOTS_PER_INCH = 120
MAX_DOTS = 3_000  # users drawn one by one; of more, dots would cover each other
N_BARS = 60  # of a histogram
N_COLUMNS = 70  # of hexagons, where users are counted instead: 10 pixels wide each
MAX_RATIO = 30.0  # largest value over the median; above it a linear axis puts most users into one corner
MAX_DECADES = 10  # marked on a logarithmic axis
# Days since 1970 that matplotlib shows as dates: the years 1 to 9999.
DATES = (-719_162, 2_932_896)
PALEST = 0.3  # share of its colour that a hexagon with a single user has
# Okabe and Ito's colours and two more, which colour-blind readers can distinguish. They repeat from the eleventh label
# on.
COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9"),
    *("#D55E00", "#666666", "#882255", "#F0E442", "#000000"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h", "p", "*")


class ClusterPlot(Periodic):
    """Draws the newest step into one file, at most every `REDRAW_SECONDS`, and at the end."""

    def __init__(
        self,
        path: Path,
        names: Sequence[str] = (),
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
        axes: Sequence[str] = (),
    ) -> None:
        """Draw the features that `axes` names, see `draw`; ValueError if a picture cannot be written to the path."""
        check_path(path)
        super().__init__(self._draw, REDRAW_SECONDS, clock)
        self._path = path
        self._names = names
        self._now = now
        self._axes = axes

    def _draw(self, step: Step) -> None:
        try:
            save(draw(step, self._names, self._now(), self._axes), self._path)
        except OSError as error:  # e.g. a full disk; labelling goes on
            log.warning("%s: not drawn (%s)", self._path, error.strerror or error)


def save(figure: Figure, path: Path) -> None:
    """Write a temporary file next to `path` and rename it, so that a reader never sees half a picture."""
    content = io.BytesIO()  # matplotlib reports a full disk by many lines, so it does not write the file itself
    figure.savefig(content, dpi=DOTS_PER_INCH, format=path.suffix[1:].lower())
    with part_of(path) as part:
        part.file.write(content.getbuffer())
        part.replace_target()


class Scale(NamedTuple):
    """The scale of one axis: coordinate = forward(value).

    matplotlib's own axes stay linear, so that all hexagons have the same size on any scale.
    """

    kind: str  # linear; log; symlog if there are values <= 0
    threshold: float  # of symlog: about linear between -threshold and threshold

    def forward(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the coordinates of values."""
        if self.kind == "linear":
            return values
        if self.kind == "log":
            return np.log10(values)
        coordinates: NDArray[np.float64] = np.sign(values) * np.log10(1 + np.abs(values) / self.threshold)
        return coordinates

    def ticks(self, values: NDArray[np.float64]) -> list[float]:
        """Return the values to mark: powers of ten, and 0 on a symlog axis."""
        low = float(values.min())
        high = float(values.max())
        if self.kind == "log":
            return decades(low / 10, high * 10)
        above = decades(self.threshold, 10 * high) if high > 0 else []
        below = decades(self.threshold, -10 * low) if low < 0 else []
        return [-value for value in reversed(below)] + [0.0, *above]


def scale_for(values: NDArray[np.float64], fitted_on: str = "none") -> Scale:
    """Return a scale on which the values are visibly apart: logarithmic if the fit was, or if they differ widely."""
    sizes = np.abs(values[values != 0])
    if not len(sizes) or (fitted_on not in LOGARITHMIC and sizes.max() <= MAX_RATIO * np.median(sizes)):
        return Scale("linear", 1.0)
    if values.min() > 0:
        return Scale("log", 1.0)
    return Scale("symlog", float(10 ** np.floor(np.log10(np.quantile(sizes, 0.01)))))


def decades(low: float, high: float) -> list[float]:
    """Return the powers of ten from `low` to `high`; only every second, third, ... of many."""
    first = int(np.ceil(np.log10(low)))
    last = int(np.floor(np.log10(high)))
    step = 1 + max(0, last - first) // MAX_DECADES
    return [10.0**power for power in range(first, last + 1, step)]


def short(value: float) -> str:
    """Return a short text for a tick: 10k for 10,000, 1M for 1,000,000."""
    if abs(value) >= 1e15 or 0 < abs(value) < 1e-3:
        return f"{value:.0e}"
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:g}{letter}"
    return f"{value:g}"


class Shown(NamedTuple):
    """What is drawn of the users: one or two features, points in time as days since 1970."""

    features: Sequence[Feature]
    totals: NDArray[np.float64]  # shape (n_users, n_features)
    centers: NDArray[np.float64]  # shape (n_clusters, n_features)
    scales: Sequence[Scale]

    @property
    def points(self) -> NDArray[np.float64]:
        """The coordinates of the users."""
        return on_axes(self.totals, self.scales)

    @property
    def spread_points(self) -> NDArray[np.float64]:
        """The coordinates of the users, with whole numbers and dates spread."""
        spread = [feature.is_whole and feature.units_per_day <= 1 for feature in self.features]
        return on_axes(spread_counts(self.totals, spread), self.scales)


def shown(step: Step, names: Sequence[str] = ()) -> Shown:
    """Return what is drawn of a step: the features of these names, by default the first two."""
    columns = [step.features.names.index(name) for name in names or step.features.names[:2]]
    features = [step.features.items[column] for column in columns]
    units = [feature.units_per_day or 1 for feature in features]
    totals = step.totals[:, columns] / units
    kind = step.scaling.name
    scales = [
        Scale("linear", 1.0) if feature.units_per_day or not len(column) else scale_for(column, kind)
        for feature, column in zip(features, totals.T, strict=True)
    ]
    return Shown(features, totals, step.centers[:, columns] / units, scales)


def draw(step: Step, names: Sequence[str], now: datetime, plotted: Sequence[str] = ()) -> Figure:
    """Draw the clusters of a step, as dots or, with many users, as hexagons; a single feature as a histogram.

    `plotted` has the names of the features on the axes, by default the first two.
    """
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    title = f"{step.n_users:,} users{scale_suffix(step.scaling.name)}, {now:%Y-%m-%d %H:%M:%S %Z}"
    axes.set_title(title.rstrip())
    axes.grid(color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    found = shown(step, plotted)
    if not len(step.labels):
        for axis, feature in zip((axes.xaxis, axes.yaxis), found.features, strict=False):
            axis.set_label_text(feature.name)
        axes.text(0.5, 0.5, "no users yet", transform=axes.transAxes, ha="center")
        return figure
    dots = len(step.totals) <= MAX_DOTS and len(found.features) == 2
    if len(found.features) == 1:
        draw_histogram(axes, found.spread_points[:, 0], step)
    elif dots:
        draw_dots(axes, found.points, step.labels, len(step.centers))
    else:
        draw_density(axes, found.spread_points, step.labels, len(step.centers), step.weights)
    for index, (axis, feature) in enumerate(zip((axes.xaxis, axes.yaxis), found.features, strict=False)):
        mark = mark_dates if feature.units_per_day else mark_axis
        mark(axis, feature.name, found.scales[index], found.totals[:, index])
    draw_centers(axes, on_axes(found.centers, found.scales))
    add_legend(figure, step, names, dots)
    return figure


def on_axes(totals: NDArray[np.float64], scales: Sequence[Scale]) -> NDArray[np.float64]:
    """Return the coordinates of rows of totals."""
    return np.column_stack([scale.forward(totals[:, column]) for column, scale in enumerate(scales)])


def spread_counts(totals: NDArray[np.float64], is_whole: Sequence[bool] = (False, True)) -> NDArray[np.float64]:
    """Spread whole numbers evenly over n - 0.5 to n + 0.5, because they leave rows of hexagons empty.

    `is_whole` names their columns, by default the second one (num_transactions).
    """
    rng = np.random.default_rng(0)
    spread = [rng.uniform(-0.5, 0.5, len(totals)) if whole else 0.0 for whole in is_whole]
    return np.column_stack([column + offset for column, offset in zip(totals.T, spread, strict=True)])


def mark_axis(axis: Axis, name: str, scale: Scale, values: NDArray[np.float64]) -> None:
    """Set the label and the ticks of an axis."""
    axis.set_label_text(name if scale.kind == "linear" else f"{name} (logarithmic)")
    if scale.kind == "linear":
        return
    low, high = axis.get_view_interval()
    ticks = scale.ticks(values)
    coordinates = scale.forward(np.array(ticks))
    axis.set_major_locator(FixedLocator(coordinates.tolist()))
    axis.set_major_formatter(FixedFormatter([short(tick) for tick in ticks]))
    between = scale.forward(np.outer(ticks, np.arange(2, 10)).ravel())
    axis.set_minor_locator(FixedLocator(between.tolist()))
    axis.set_view_interval(low, high, ignore=True)


def mark_dates(axis: Axis, name: str, scale: Scale, values: NDArray[np.float64]) -> None:
    """Set the label and the ticks of an axis of days since 1970; numbers where a calendar has no dates."""
    if values.min() < DATES[0] or values.max() > DATES[1]:
        axis.set_label_text(f"{name} (days since 1970)")
        return
    axis.set_label_text(name)
    low, high = axis.get_view_interval()
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axis.set_major_locator(locator)
    axis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axis.set_view_interval(max(low, DATES[0]), min(high, DATES[1]), ignore=True)


def colour_of(label: int) -> str:
    """Return the colour of a label."""
    return COLOURS[label % len(COLOURS)]


def draw_dots(axes: Axes, points: NDArray[np.float64], labels: NDArray[np.int32], n_labels: int) -> None:
    """Draw a dot for every user, larger the fewer there are."""
    size = float(np.clip(20_000 / len(points), 10, 70))
    for label in range(n_labels):
        x, y = points[labels == label].T
        marker = MARKERS[label % len(MARKERS)]
        axes.scatter(x, y, s=size, c=colour_of(label), marker=marker, alpha=0.8, edgecolors="white", linewidths=0.3)
    axes.margins(0.08)


def draw_histogram(axes: Axes, points: NDArray[np.float64], step: Step) -> None:
    """Draw the number of users with each value, the labels above each other."""
    of_labels = [step.labels == label for label in range(len(step.centers))]
    weights = None if step.weights is None else [step.weights[of_label] for of_label in of_labels]
    columns = [points[of_label] for of_label in of_labels]
    colours = [colour_of(label) for label in range(len(of_labels))]
    axes.hist(columns, N_BARS, weights=weights, stacked=True, color=colours)
    axes.set_ylabel("users")


def draw_density(
    axes: Axes, points: NDArray[np.float64], labels: NDArray[np.int32], n_labels: int, weights: Weights | None = None
) -> None:
    """Draw hexagons in the colour of the most frequent label in each, deeper the more users."""
    low = points.min(axis=0)
    high = points.max(axis=0)
    margin = np.where(high > low, 0.02 * (high - low), 0.5)
    left, bottom = low - margin
    right, top = high + margin
    hexagons, counts = count_hexagons(axes, points, labels, n_labels, (left, right, bottom, top), weights)
    axes.add_collection(hexagons)
    paint(hexagons, counts)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    add_colour_bar(axes, float(counts.sum(axis=0).max()))


def count_hexagons(
    axes: Axes,
    points: NDArray[np.float64],
    labels: NDArray[np.int32],
    n_labels: int,
    extent: tuple[float, float, float, float],
    weights: Weights | None = None,
) -> tuple[PolyCollection, NDArray[np.float64]]:
    """Return the hexagons, and the number of users by label and hexagon, of shape (n_labels, n_hexagons)."""
    counts = []
    for label in range(n_labels):  # on the same grid for each label
        of_label = labels == label
        x, y = points[of_label].T
        sums: dict[str, Any] = {} if weights is None else {"C": weights[of_label], "reduce_C_function": np.sum}
        hexagons: PolyCollection = axes.hexbin(x, y, gridsize=N_COLUMNS, extent=extent, mincnt=0, **sums)
        counts.append(np.asarray(hexagons.get_array()))
        hexagons.remove()
    return hexagons, np.array(counts)


def paint(hexagons: PolyCollection, counts: NDArray[np.float64]) -> None:
    """Colour each hexagon by its most frequent label; `counts` is of shape (n_labels, n_hexagons)."""
    colours = np.array([to_rgb(colour_of(label)) for label in range(len(counts))])
    total = counts.sum(axis=0)
    depth = PALEST + (1 - PALEST) * np.log(np.maximum(total, 1)) / np.log(max(float(total.max()), 2))
    mixed = 1 - depth[:, None] * (1 - colours[counts.argmax(axis=0)])  # towards white
    hexagons.set_array(None)
    hexagons.set(facecolors=np.column_stack((mixed, total > 0)), edgecolors="none")


def add_colour_bar(axes: Axes, most: float) -> None:
    """Show in grey how many users each depth of a colour means."""
    greys = LinearSegmentedColormap.from_list("greys", [(1 - PALEST,) * 3, (0.0,) * 3])
    depths = ScalarMappable(LogNorm(1, max(most, 2)), cmap=greys)
    ticks = FuncFormatter(lambda value, position: short(value))
    axes.figure.colorbar(depths, ax=axes, label="users per hexagon", format=ticks, pad=0.01, fraction=0.04)


def draw_centers(axes: Axes, centers: NDArray[np.float64]) -> None:
    """Mark each centre with the number of its label; of one feature, near the top."""
    if centers.shape[1] == 1:
        centers = np.column_stack((centers, np.full(len(centers), 0.95 * axes.get_ylim()[1])))
    for label, (x, y) in enumerate(centers.tolist()):
        # Translucent, because the only user of a label is right behind its centre.
        box = {"boxstyle": "circle,pad=0.25", "facecolor": "#FFFFFFB0", "edgecolor": colour_of(label), "linewidth": 2}
        axes.text(x, y, str(label), ha="center", va="center", fontsize=10, fontweight="bold", bbox=box, zorder=5)


def add_legend(figure: Figure, step: Step, names: Sequence[str], dots: bool) -> None:
    """Show name, number and share of the users of each label, next to the picture."""
    handles = []
    for label, count in enumerate(step.users_of_labels):
        text = f"{label_name(label, names)}\n{format_users(count)}, {format_percentage(count, step.n_users)}"
        style: dict[str, Any] = {"marker": MARKERS[label % len(MARKERS)] if dots else "h", "color": colour_of(label)}
        handles.append(Line2D([], [], linestyle="none", markersize=9, label=text.replace("$", r"\$"), **style))
    figure.legend(handles=handles, loc="outside right upper", title="label (number at its centre)", frameon=False)
