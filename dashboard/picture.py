"""The clusters and how they change, as the client's plot shows them: points for few users, density for many."""

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from classifier.formatting import format_amount, format_percentage, format_user_id, format_users
from classifier.label_names import label_name
from classifier.reports.plot import COLOURS, MARKERS, MAX_DOTS, PALEST, Scale, on_axes, short
from dashboard.bins import Bins, Scales, Window, count_bins, framed, scales_of, value_at, whole
from dashboard.figures import clock
from dashboard.history import Point
from dashboard.table import Snapshot

# What matplotlib calls o, s, ^ and so on: the shapes of the client's plot, and as letters for text.
SYMBOLS = dict(
    zip(
        "os^DvPXhp*",
        ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "hexagon", "pentagon", "star"),
        strict=True,
    )
)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
# Two colours that can hardly be seen on a dark ground.
IN_THE_DARK = {"#882255": "#CC6677", "#000000": "#FFFFFF"}
HEIGHT, HEIGHT_OF_SIZES = 520, 300  # pixels
MOST_TICKS = 7


class View(NamedTuple):
    """How somebody wants to see the clusters."""

    axes: str
    window: Window | None  # None: everybody
    names: tuple[str, ...]
    dark: bool


def colour_of(label: int, dark: bool) -> str:
    """Return the colour of a label, as it can be seen on this ground."""
    colour = COLOURS[label % len(COLOURS)]
    return IN_THE_DARK.get(colour, colour) if dark else colour


def symbol_of(label: int) -> str:
    """Return the shape of a label."""
    return SYMBOLS[MARKERS[label % len(MARKERS)]]


def faint(colour: str, depth: float) -> str:
    """Return a colour that lets the ground through."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{depth:.3f})"


# the clusters


def clusters(snapshot: Snapshot, view: View) -> go.Figure:
    """Draw the users there are in a window."""
    scales = scales_of(snapshot, view.axes)
    window = view.window or whole(snapshot)
    inside = window.holds(snapshot.totals)
    dots = int(inside.sum()) <= MAX_DOTS
    figure = go.Figure()
    if dots:
        for label in range(snapshot.n_labels):
            figure.add_trace(dots_of(snapshot, inside & (snapshot.labels_there == label), label, scales, view))
    else:
        figure.add_trace(density(count_bins(snapshot, window, scales), scales, view))
    for label in range(snapshot.n_labels):
        figure.add_trace(mean_of(snapshot, label, scales, view, in_legend=not dots))
    if not inside.any():
        figure.add_annotation(text="nobody lies here", x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    frame = framed(window, scales)
    for at, (axis, name) in enumerate((("xaxis", "total_amount"), ("yaxis", "num_transactions"))):
        ends = float(frame.low[at]), float(frame.high[at])
        figure.update_layout({axis: axis_of(name, scales[at], ends)})
    figure.update_layout(height=HEIGHT, margin={"l": 10, "r": 10, "t": 10, "b": 10}, dragmode="select")
    figure.update_layout(legend={"orientation": "h", "y": -0.18, "yanchor": "top"}, uirevision=view.axes)
    figure.update_layout(hoverlabel={"align": "left"}, selectdirection="any")
    return figure


def dots_of(snapshot: Snapshot, chosen: NDArray[np.bool_], label: int, scales: Scales, view: View) -> go.Scatter:
    """Draw each user of a label, to be pointed at."""
    totals = snapshot.totals[chosen]
    places = on_axes(totals, scales)
    rows = zip(snapshot.there[chosen].tolist(), totals.tolist(), strict=True)
    name = html.escape(label_name(label, view.names))
    told = [
        f"<b>{html.escape(format_user_id(snapshot.user_ids[at]))}</b><br>label {name}<br>"
        f"total_amount {format_amount(amount)}<br>num_transactions {count:,.0f}"
        for at, (amount, count) in rows
    ]
    marker = {
        "color": colour_of(label, view.dark),
        "symbol": symbol_of(label),
        "size": float(np.clip(9_000 / max(len(snapshot.there), 1), 6, 12)),
        "opacity": 0.85,
        "line": {"width": 0.5, "color": "#000000" if view.dark else "#FFFFFF"},
    }
    return go.Scatter(
        x=places[:, 0],
        y=places[:, 1],
        mode="markers",
        name=legend_of(snapshot, label, view),
        text=told,
        hoverinfo="text",
        marker=marker,
        unselected={"marker": {"opacity": 0.85}},
    )


def legend_of(snapshot: Snapshot, label: int, view: View) -> str:
    """Return '2 spendthrift: 12 users, 30.0%'."""
    size = snapshot.sizes()[label]
    name = html.escape(label_name(label, view.names))
    return f"{name}: {format_users(size)}, {format_percentage(size, len(snapshot.there))}"


def density(cells: Bins, scales: Scales, view: View) -> go.Heatmap:
    """Draw cells: the colour of the label that most users in it have, the deeper the more users."""
    total = cells.counts.sum(axis=0)
    most, n_labels = max(int(total.max()), 2), len(cells.counts)
    depth = np.log(np.maximum(total, 1)) / np.log(most)
    # One scale for all labels, a stretch of it for each; its very end is that of the label, not the next one's start.
    values = np.where(total > 0, (cells.counts.argmax(axis=0) + 0.999 * depth) / n_labels, np.nan)
    colours = []
    for label in range(n_labels):
        colour = colour_of(label, view.dark)
        colours.append((label / n_labels, faint(colour, PALEST)))
        colours.append(((label + 0.9995) / n_labels if label + 1 < n_labels else 1.0, faint(colour, 1.0)))
    return go.Heatmap(
        x=cells.columns,
        y=cells.rows,
        z=values,
        zmin=0,
        zmax=1,
        colorscale=colours,
        showscale=False,
        text=bin_texts(cells, scales, view),
        hoverinfo="text",
        hoverongaps=False,
        zsmooth=False,
    )


def bin_texts(cells: Bins, scales: Scales, view: View) -> list[list[str]]:
    """Say how many users of which labels lie in each cell, and where it is."""
    texts = [[""] * len(cells.columns) for _ in cells.rows]
    names = [html.escape(label_name(label, view.names)) for label in range(len(cells.counts))]
    total = cells.counts.sum(axis=0)
    amounts = [short(float(f"{value_at(scales[0], at):.3g}")) for at in cells.columns.tolist()]
    counts = [short(float(f"{value_at(scales[1], at):.3g}")) for at in cells.rows.tolist()]
    for row, column in np.argwhere(total).tolist():
        here = enumerate(cells.counts[:, row, column].tolist())
        labels = "<br>".join(f"label {names[label]}: {count:,}" for label, count in here if count)
        where = f"total_amount about {amounts[column]}<br>num_transactions about {counts[row]}"
        texts[row][column] = f"<b>{format_users(int(total[row, column]))}</b><br>{labels}<br>{where}"
    return texts


def mean_of(snapshot: Snapshot, label: int, scales: Scales, view: View, in_legend: bool) -> go.Scatter:
    """Mark the mean of a label's users with its number."""
    ground = "#0E1117" if view.dark else "#FFFFFF"
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
            "color": ground,
            "opacity": 0.85,
            "line": {"width": 3, "color": colour_of(label, view.dark)},
        },
        unselected={"marker": {"opacity": 0.85}},
    )


def means(snapshot: Snapshot) -> NDArray[np.float64]:
    """Return the mean totals of each label, of shape (n_labels, 2); NaN for one without users."""
    labels, n_labels = snapshot.labels_there, snapshot.n_labels
    sums = [np.bincount(labels, snapshot.totals[:, column], n_labels) for column in (0, 1)]
    with np.errstate(invalid="ignore"):
        return np.column_stack(sums) / np.bincount(labels, minlength=n_labels)[:, None]


# axes


def axis_of(name: str, scale: Scale, ends: tuple[float, float]) -> dict[str, Any]:
    """Return how plotly is to draw an axis."""
    axis: dict[str, Any] = {"title": {"text": name if scale.kind == "linear" else f"{name} (logarithmic)"}}
    axis |= {"range": list(ends), "zeroline": False, "showgrid": True}
    if scale.kind == "linear":
        return {**axis, "nticks": MOST_TICKS, "exponentformat": "SI"}
    values = ticks(scale, ends)
    positions = scale.forward(np.array(values)).tolist()
    return {**axis, "tickmode": "array", "tickvals": positions, "ticktext": [short(value) for value in values]}


def ticks(scale: Scale, ends: tuple[float, float]) -> list[float]:
    """Return the values to mark between two positions: powers of ten, or what lies evenly where there are too few."""
    low, high = (value_at(scale, end) for end in ends)
    found = [value for value in scale.ticks(np.array([low, high])) if low <= value <= high]
    if len(found) >= 3:
        return found
    step = 10.0 ** np.floor(np.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= MOST_TICKS)
    return [
        float(f"{value:.12g}")
        for value in (np.arange(np.ceil(low / step - 1e-6), np.floor(high / step + 1e-6) + 1) * step)
    ]


# how sizes have changed


def sizes_over_time(points: Sequence[Point], until: float, view: View) -> go.Figure:
    """Draw how many users each label has had, up to a time."""
    points = [*points, *(point._replace(time=max(until, point.time)) for point in points[-1:])]
    figure, n_labels = go.Figure(), max((len(point.sizes) for point in points), default=0)
    times = [clock(point.time) for point in points]
    for label in range(n_labels):
        sizes = [point.sizes[label] if label < len(point.sizes) else 0 for point in points]
        line = {"color": colour_of(label, view.dark), "dash": DASHES[label % len(DASHES)], "shape": "hv", "width": 2.5}
        trace = go.Scatter(x=times, y=sizes, mode="lines+text", line=line, cliponaxis=False)
        trace.update(text=[""] * (len(points) - 1) + [f" {label}"], textposition="middle right")
        trace.update(name=html.escape(label_name(label, view.names)), hovertemplate="%{y:,} users<br>%{x}")
        figure.add_trace(trace)
    figure.update_layout(height=HEIGHT_OF_SIZES, margin={"l": 10, "r": 30, "t": 10, "b": 10}, uirevision="sizes")
    figure.update_layout(legend={"orientation": "h", "y": -0.25, "yanchor": "top"}, dragmode=False)
    figure.update_yaxes(title="users", rangemode="tozero", fixedrange=True)
    figure.update_xaxes(fixedrange=True, nticks=5)
    return figure
