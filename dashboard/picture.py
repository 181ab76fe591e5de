"""The clusters and their sizes over time, drawn like the client's plot: points for few users, bins for many."""

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from classifier.formatting import format_percentage, format_user_id, format_users
from classifier.label_names import label_name
from classifier.reports.plot import COLOURS, MARKERS, MAX_DOTS, PALEST
from dashboard.axes import Axes, Axis, axes_of, coordinates
from dashboard.bins import Bins, Window, count_bins, frame_of, full_window
from dashboard.figures import local_time, means_by_label, user_at
from dashboard.history import Point
from dashboard.table import Snapshot
from dashboard.times import MAX_TICKS
from dashboard.values import heading, mean_text, value_text

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
GOLDEN_RATIO = (5**0.5 - 1) / 2  # multiples of it, without their whole part, are spread evenly
STRIP = 0.6  # of the distance of two labels on an axis: where dots are


class View(NamedTuple):
    """The settings of the cluster plot in one browser."""

    axes: str  # of AXES
    features: tuple[str, str]  # on the horizontal and the vertical axis; the second may be the label
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
    axes = axes_of(snapshot, view.features, view.axes)
    window = view.window or full_window(snapshot, view.features)
    inside = window.contains(snapshot.points(view.features))
    dots = int(inside.sum()) <= MAX_DOTS
    figure = go.Figure()
    if dots:
        for label in range(snapshot.n_labels):
            selected = inside & (snapshot.present_labels == label)
            figure.add_trace(dots_of(snapshot, selected, label, axes, view))
    else:
        figure.add_trace(density(count_bins(snapshot, window, axes), axes, view))
    marks = zip(*(mean_coordinates(snapshot, axis) for axis in axes), strict=True)
    for label, mark in enumerate(marks):
        figure.add_trace(mean_of(snapshot, label, mark, axes, view, in_legend=not dots))
    if not inside.any():
        figure.add_annotation(text="no users here", x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    frame = frame_of(window, axes)
    for key, axis, *ends in zip(("xaxis", "yaxis"), axes, frame.low.tolist(), frame.high.tolist(), strict=True):
        figure.update_layout({key: layout_of(axis, (ends[0], ends[1]), view.names)})
    figure.update_layout(height=CLUSTERS_HEIGHT, margin={"l": 10, "r": 10, "t": 10, "b": 10}, dragmode="select")
    figure.update_layout(
        legend={"orientation": "h", "y": -0.18, "yanchor": "top"}, uirevision=f"{view.axes} {view.features}"
    )
    figure.update_layout(hoverlabel={"align": "left"}, selectdirection="any")
    return figure


def dots_of(snapshot: Snapshot, selected: NDArray[np.bool_], label: int, axes: Axes, view: View) -> go.Scatter:
    """Draw a dot with a tooltip for each selected user; all have this label."""
    indices = snapshot.present[selected]
    x, y = coordinates(snapshot.points(view.features)[selected], axes).T
    if axes[1].n_labels:
        y = y + STRIP * (GOLDEN_RATIO * indices % 1 - 0.5)  # a user stays where it is
    name = html.escape(label_name(label, view.names))
    tooltips = [dot_text(snapshot, index, name) for index in indices.tolist()]
    marker = {
        "color": colour_of(label, view.dark),
        "symbol": symbol_of(label),
        "size": float(np.clip(9_000 / max(len(snapshot.present), 1), 6, 12)),
        "opacity": 0.85,
        "line": {"width": 0.5, "color": "#000000" if view.dark else "#FFFFFF"},
    }
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        name=legend_of(snapshot, label, view),
        text=tooltips,
        hoverinfo="text",
        marker=marker,
        unselected={"marker": {"opacity": 0.85}},
    )


def dot_text(snapshot: Snapshot, index: int, label: str) -> str:
    """Return the tooltip of a user: all features; `label` is HTML."""
    user = user_at(snapshot, index)
    texts = [f"<b>{html.escape(format_user_id(user.user_id))}</b>", f"label {label}"]
    for feature, value in zip(snapshot.features.items, user.values, strict=True):
        texts.append(f"{heading(feature)} {value_text(feature, value)}")
    return "<br>".join(texts)


def legend_of(snapshot: Snapshot, label: int, view: View) -> str:
    """Return '2 spendthrift: 12 users, 30.0%'."""
    size = snapshot.sizes()[label]
    name = html.escape(label_name(label, view.names))
    return f"{name}: {format_users(size)}, {format_percentage(size, len(snapshot.present))}"


def density(bins: Bins, axes: Axes, view: View) -> go.Heatmap:
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
        x=bins.x,
        y=bins.y,
        z=values,
        zmin=0,
        zmax=1,
        colorscale=colours,
        showscale=False,
        text=bin_texts(bins, axes, view),
        hoverinfo="text",
        hoverongaps=False,
        zsmooth=False,
    )


def bin_texts(bins: Bins, axes: Axes, view: View) -> list[list[str]]:
    """Return the tooltip of each bin: its users by label, and its values."""
    texts = [[""] * len(bins.x) for _ in bins.y]
    names = [html.escape(label_name(label, view.names)) for label in range(len(bins.counts))]
    total = bins.counts.sum(axis=0)
    columns, rows = (
        [
            f"<br>{heading(axis.feature)} about {axis.about(each, size)}" if not axis.n_labels else ""
            for each in centers.tolist()
        ]
        for axis, centers, size in zip(axes, (bins.x, bins.y), bins.sizes.tolist(), strict=True)
    )
    for row, column in np.argwhere(total).tolist():
        users_of_labels = enumerate(bins.counts[:, row, column].tolist())
        labels = "<br>".join(f"label {names[label]}: {count:,}" for label, count in users_of_labels if count)
        n_users = format_users(int(total[row, column]))
        texts[row][column] = f"<b>{n_users}</b><br>{labels}{columns[column]}{rows[row]}"
    return texts


def mean_coordinates(snapshot: Snapshot, axis: Axis) -> list[float]:
    """Return where the mean of each label is on an axis: the mean of the coordinates there; NaN without users."""
    values = axis.scale.forward(snapshot.column(axis.name))
    origin = float(values.max(initial=0.0)) if axis.is_time else 0.0  # a mean of small numbers has more digits
    found: list[float] = (origin + means_by_label(snapshot, values - origin))[:-1].tolist()
    return found


def mark_text(snapshot: Snapshot, axis: Axis, coordinate: float) -> str:
    """Return where a mean is marked on an axis."""
    if axis.n_labels:
        return ""
    value = mean_text(axis.feature, axis.value_at(coordinate), snapshot.newest(axis.name))
    return f"<br>{heading(axis.feature)} {value}{'' if axis.scale.kind == 'linear' else ' (of the logarithms)'}"


def mean_of(
    snapshot: Snapshot, label: int, mark: tuple[float, float], axes: Axes, view: View, in_legend: bool
) -> go.Scatter:
    """Mark the mean of the users of a label, at these coordinates, with its number."""
    background = "#0E1117" if view.dark else "#FFFFFF"
    where = "".join(mark_text(snapshot, axis, coordinate) for axis, coordinate in zip(axes, mark, strict=True))
    return go.Scatter(
        x=mark[:1],
        y=mark[1:],
        mode="markers+text",
        text=[f"<b>{label}</b>"],
        textfont={"size": 13, "color": "#FFFFFF" if view.dark else "#000000"},
        hovertext=[f"mean of label {html.escape(label_name(label, view.names))}{where}"],
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


# axes


def layout_of(axis: Axis, ends: tuple[float, float], names: Sequence[str]) -> dict[str, Any]:
    """Return the layout of an axis for plotly; `ends` are coordinates."""
    layout: dict[str, Any] = {"title": {"text": axis.title}, "range": list(ends), "zeroline": False, "showgrid": True}
    if axis.n_labels:
        labels = list(range(axis.n_labels))
        texts = [html.escape(label_name(label, names)) for label in labels]
        return {**layout, "tickmode": "array", "tickvals": labels, "ticktext": texts}
    ticks = axis.ticks(ends)
    if ticks is None:
        return {**layout, "nticks": MAX_TICKS, "exponentformat": "SI"}
    return {**layout, "tickmode": "array", "tickvals": ticks[0], "ticktext": ticks[1]}


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
