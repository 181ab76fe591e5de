"""The clusters and their sizes over time, drawn like the client's plot: points for few users, bins for many."""

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from classifier.formatting import format_amount, format_percentage, format_user_id, format_users
from classifier.label_names import label_name
from classifier.reports.plot import COLOURS, MARKERS, MAX_DOTS, PALEST, Scale, on_axes, short
from dashboard.bins import Bins, Scales, Window, axis_scales, count_bins, frame_of, full_window, value_at
from dashboard.figures import local_time
from dashboard.history import Point
from dashboard.table import Snapshot

# plotly's names of matplotlib's markers: the shapes are those of the client's plot.
SYMBOLS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "h": "hexagon",
    "p": "pentagon",
    "*": "star",
}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
# Replacements for two colours that are hardly visible on a dark background.
DARK_THEME_COLOURS = {"#882255": "#CC6677", "#000000": "#FFFFFF"}
CLUSTERS_HEIGHT = 520  # pixels
SIZES_HEIGHT = 300  # pixels
MAX_TICKS = 7


class View(NamedTuple):
    """The settings of the cluster plot in one browser."""

    axes: str
    window: Window | None  # None for all users
    names: tuple[str, ...]
    dark: bool  # theme


def colour_of(label: int, dark: bool) -> str:
    """Return the colour of a label for the light or the dark theme."""
    colour = COLOURS[label % len(COLOURS)]
    return DARK_THEME_COLOURS.get(colour, colour) if dark else colour


def symbol_of(label: int) -> str:
    """Return the marker of a label."""
    return SYMBOLS[MARKERS[label % len(MARKERS)]]


def with_opacity(colour: str, opacity: float) -> str:
    """Return a colour with an opacity of 0 to 1."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:.3f})"


# the clusters


def clusters(snapshot: Snapshot, view: View) -> go.Figure:
    """Draw the users in the window of a view."""
    scales = axis_scales(snapshot, view.axes)
    window = view.window or full_window(snapshot)
    inside = window.contains(snapshot.totals)
    dots = int(inside.sum()) <= MAX_DOTS
    figure = go.Figure()
    if dots:
        for label in range(snapshot.n_labels):
            selected = inside & (snapshot.present_labels == label)
            figure.add_trace(dots_of(snapshot, selected, label, scales, view))
    else:
        figure.add_trace(density(count_bins(snapshot, window, scales), scales, view))
    for label in range(snapshot.n_labels):
        figure.add_trace(mean_of(snapshot, label, scales, view, in_legend=not dots))
    if not inside.any():
        figure.add_annotation(text="no users here", x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    frame = frame_of(window, scales)
    for index, (axis, name) in enumerate((("xaxis", "total_amount"), ("yaxis", "num_transactions"))):
        ends = (float(frame.low[index]), float(frame.high[index]))
        figure.update_layout({axis: axis_of(name, scales[index], ends)})
    figure.update_layout(height=CLUSTERS_HEIGHT, margin={"l": 10, "r": 10, "t": 10, "b": 10}, dragmode="select")
    figure.update_layout(legend={"orientation": "h", "y": -0.18, "yanchor": "top"}, uirevision=view.axes)
    figure.update_layout(hoverlabel={"align": "left"}, selectdirection="any")
    return figure


def dots_of(snapshot: Snapshot, selected: NDArray[np.bool_], label: int, scales: Scales, view: View) -> go.Scatter:
    """Draw a dot with a tooltip for each selected user; all have this label."""
    totals = snapshot.totals[selected]
    coordinates = on_axes(totals, scales)
    rows = zip(snapshot.present[selected].tolist(), totals.tolist(), strict=True)
    name = html.escape(label_name(label, view.names))
    tooltips = [
        f"<b>{html.escape(format_user_id(snapshot.user_ids[index]))}</b><br>label {name}<br>"
        f"total_amount {format_amount(amount)}<br>num_transactions {count:,.0f}"
        for index, (amount, count) in rows
    ]
    marker = {
        "color": colour_of(label, view.dark),
        "symbol": symbol_of(label),
        "size": float(np.clip(9_000 / max(len(snapshot.present), 1), 6, 12)),
        "opacity": 0.85,
        "line": {"width": 0.5, "color": "#000000" if view.dark else "#FFFFFF"},
    }
    return go.Scatter(
        x=coordinates[:, 0],
        y=coordinates[:, 1],
        mode="markers",
        name=legend_of(snapshot, label, view),
        text=tooltips,
        hoverinfo="text",
        marker=marker,
        unselected={"marker": {"opacity": 0.85}},
    )


def legend_of(snapshot: Snapshot, label: int, view: View) -> str:
    """Return '2 spendthrift: 12 users, 30.0%'."""
    size = snapshot.sizes()[label]
    name = html.escape(label_name(label, view.names))
    return f"{name}: {format_users(size)}, {format_percentage(size, len(snapshot.present))}"


def density(bins: Bins, scales: Scales, view: View) -> go.Heatmap:
    """Draw bins in the colour of the most frequent label in each, deeper the more users."""
    total = bins.counts.sum(axis=0)
    n_labels = len(bins.counts)
    depth = np.log(np.maximum(total, 1)) / np.log(max(int(total.max()), 2))
    # One colour scale with an interval for each label; 0.999 keeps its end apart from the start of the next one.
    values = np.where(total > 0, (bins.counts.argmax(axis=0) + 0.999 * depth) / n_labels, np.nan)
    colours = []
    for label in range(n_labels):
        colour = colour_of(label, view.dark)
        colours.append((label / n_labels, with_opacity(colour, PALEST)))
        colours.append(((label + 0.9995) / n_labels if label + 1 < n_labels else 1.0, with_opacity(colour, 1.0)))
    return go.Heatmap(
        x=bins.amounts,
        y=bins.transactions,
        z=values,
        zmin=0,
        zmax=1,
        colorscale=colours,
        showscale=False,
        text=bin_texts(bins, scales, view),
        hoverinfo="text",
        hoverongaps=False,
        zsmooth=False,
    )


def bin_texts(bins: Bins, scales: Scales, view: View) -> list[list[str]]:
    """Return the tooltip of each bin: its users by label, and its totals."""
    texts = [[""] * len(bins.amounts) for _ in bins.transactions]
    names = [html.escape(label_name(label, view.names)) for label in range(len(bins.counts))]
    total = bins.counts.sum(axis=0)
    amounts = [short(float(f"{value_at(scales[0], coordinate):.3g}")) for coordinate in bins.amounts.tolist()]
    counts = [short(float(f"{value_at(scales[1], coordinate):.3g}")) for coordinate in bins.transactions.tolist()]
    for row, column in np.argwhere(total).tolist():
        users_of_labels = enumerate(bins.counts[:, row, column].tolist())
        labels = "<br>".join(f"label {names[label]}: {count:,}" for label, count in users_of_labels if count)
        where = f"total_amount about {amounts[column]}<br>num_transactions about {counts[row]}"
        texts[row][column] = f"<b>{format_users(int(total[row, column]))}</b><br>{labels}<br>{where}"
    return texts


def mean_of(snapshot: Snapshot, label: int, scales: Scales, view: View, in_legend: bool) -> go.Scatter:
    """Mark the mean of the users of a label with its number."""
    background = "#0E1117" if view.dark else "#FFFFFF"
    mean = means(snapshot)[label : label + 1]
    x, y = on_axes(mean, scales).T
    return go.Scatter(
        x=x,
        y=y,
        mode="markers+text",
        text=[f"<b>{label}</b>"],
        textfont={"size": 13, "color": "#FFFFFF" if view.dark else "#000000"},
        hovertext=[
            f"mean of label {html.escape(label_name(label, view.names))}"
            f"<br>{format_amount(mean[0, 0])} / {mean[0, 1]:,.1f}"
        ],
        hoverinfo="text",
        name=legend_of(snapshot, label, view) if in_legend else "",
        showlegend=in_legend,
        marker={
            "size": 22,
            "symbol": "circle",
            "color": background,
            "opacity": 0.85,
            "line": {"width": 3, "color": colour_of(label, view.dark)},
        },
        unselected={"marker": {"opacity": 0.85}},
    )


def means(snapshot: Snapshot) -> NDArray[np.float64]:
    """Return the mean totals of each label, of shape (n_labels, 2); NaN for one without users."""
    labels = snapshot.present_labels
    n_labels = snapshot.n_labels
    sums = [np.bincount(labels, snapshot.totals[:, column], n_labels) for column in (0, 1)]
    with np.errstate(invalid="ignore"):
        return np.column_stack(sums) / np.bincount(labels, minlength=n_labels)[:, None]


# axes


def axis_of(name: str, scale: Scale, ends: tuple[float, float]) -> dict[str, Any]:
    """Return the layout of an axis for plotly; `ends` are coordinates."""
    axis: dict[str, Any] = {"title": {"text": name if scale.kind == "linear" else f"{name} (logarithmic)"}}
    axis |= {"range": list(ends), "zeroline": False, "showgrid": True}
    if scale.kind == "linear":
        return {**axis, "nticks": MAX_TICKS, "exponentformat": "SI"}
    values = ticks(scale, ends)
    coordinates = scale.forward(np.array(values)).tolist()
    return {**axis, "tickmode": "array", "tickvals": coordinates, "ticktext": [short(value) for value in values]}


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


# sizes over time


def sizes_over_time(points: Sequence[Point], until: float, view: View) -> go.Figure:
    """Draw the number of users of each label, up to a time."""
    points = [*points, *(point._replace(time=max(until, point.time)) for point in points[-1:])]
    n_labels = max((len(point.sizes) for point in points), default=0)
    times = [local_time(point.time) for point in points]
    figure = go.Figure()
    for label in range(n_labels):
        sizes = [point.sizes[label] if label < len(point.sizes) else 0 for point in points]
        line = {"color": colour_of(label, view.dark), "dash": DASHES[label % len(DASHES)], "shape": "hv", "width": 2.5}
        trace = go.Scatter(x=times, y=sizes, mode="lines+text", line=line, cliponaxis=False)
        trace.update(text=[""] * (len(points) - 1) + [f" {label}"], textposition="middle right")
        trace.update(name=html.escape(label_name(label, view.names)), hovertemplate="%{y:,} users<br>%{x}")
        figure.add_trace(trace)
    figure.update_layout(height=SIZES_HEIGHT, margin={"l": 10, "r": 30, "t": 10, "b": 10}, uirevision="sizes")
    figure.update_layout(legend={"orientation": "h", "y": -0.25, "yanchor": "top"}, dragmode=False)
    figure.update_yaxes(title="users", rangemode="tozero", fixedrange=True)
    figure.update_xaxes(fixedrange=True, nticks=5)
    return figure
