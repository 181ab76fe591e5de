"""The layout of the page. Streamlit runs this file for each browser, and its fragment `live` every two seconds.

The page shows snapshots (`table`), which one thread reads for all browsers (`reader`).
"""

import html
import re
import sys
import time
from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from classifier.features import LABEL, Feature
from classifier.formatting import format_user_id
from classifier.label_names import label_name, label_names_from, missing_name_message
from classifier.users.table import NO_LABEL
from dashboard import figures, picture
from dashboard.axes import AXES, axes_of
from dashboard.bins import Window, full_window
from dashboard.lists import csv_of
from dashboard.moves import Moves, moves
from dashboard.options import parsed
from dashboard.picture import View, colour_of
from dashboard.reader import Reader
from dashboard.table import Snapshot
from dashboard.times import time_of, time_text
from dashboard.values import heading, value_text

REDRAW_SECONDS = 2.0
MAX_MOVED = 50  # users listed
MAX_ROWS = 12  # a longer table gets a scroll bar of its own
ALL_LABELS = "all labels"
MARKER_TEXTS = "●■▲◆▼✚✖⬢⬟★"  # the markers of the client's plot as characters
STYLE = """<style>
.labels {border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums}
.labels th, .labels td {padding: .3rem .7rem; border-bottom: 1px solid rgba(128,128,128,.35); text-align: right}
.labels th {font-weight: 600}
.labels th:first-child, .labels .text {text-align: left}
.labels tbody th {white-space: nowrap}
.labels caption {text-align: left; padding-bottom: .4rem; opacity: .8}
.labels tr.all td, .labels tr.all th {font-weight: 600; border-bottom: none}
.scroll {overflow: auto}
.scroll.long {max-height: 26rem}
.chip {display: inline-block; width: 1.4em; font-size: 1.2em}
.stMainBlockContainer {padding-top: 3rem}
</style>"""


@st.cache_resource(show_spinner=False)
def shared_reader() -> Reader:
    """Return the reader, which is started once for all browsers."""
    settings, _ = parsed(sys.argv[1:])
    return Reader(settings).start()


def show() -> None:
    """Show the page."""
    reader = shared_reader()
    st.set_page_config(page_title=f"Labels of {reader.settings.output}", layout="wide")
    st.html(STYLE)
    st.title(f"Labels of {reader.settings.output}", anchor=False)
    live(reader)


@st.fragment(run_every=REDRAW_SECONDS)
def live(reader: Reader) -> None:
    """Show everything that changes."""
    problem = reader.problem
    if problem:
        st.error(literal(problem), icon=":material/error:")
    now = reader.latest
    if now is None:
        st.info(literal(reader.progress), icon=":material/hourglass_top:")
        return
    names = tuple(label_names_from(reader.settings.label_names, None))
    warning = missing_name_message(now.n_labels - 1, names, reader.settings.output)
    if warning:
        st.warning(literal(warning))
    others = reader.others_text
    if others:
        st.warning(literal(others))
    then, opened_at = st.session_state.setdefault("opened", (now, time.time()))
    moved = now.cached(("moves", then.version), lambda: moves(then, now))
    show_totals(reader, now, moved)
    dark = st.context.theme.type == "dark"
    show_labels(now, then, names, dark)
    show_clusters(now, names, dark)
    show_changes(reader, now, moved, opened_at, View("", ("", ""), None, names, dark))
    show_users(reader, now, names)


def literal(text: str) -> str:
    """Return a text with Markdown's special characters escaped."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


# numbers


def show_totals(reader: Reader, now: Snapshot, moved: Moves) -> None:
    """Show the number of users, the age of the newest label and the number of moves."""
    with st.container(horizontal=True, gap="large"):
        st.metric("Users", f"{len(now.present):,}", width="content")
        st.metric("Newest label", figures.age_text(now.newest_ms), width="content")
        st.metric("Moved since opened", f"{moved.n_moved:,}", width="content")
        st.metric("New / deleted since opened", f"{moved.n_new:,} / {moved.n_deleted:,}", width="content")
    up_to_date_at = figures.local_time(reader.up_to_date_at)
    order = literal(figures.order_text(now.features))
    st.caption(f"Up to date as of {up_to_date_at}. This page updates itself. {order}")


def show_labels(now: Snapshot, then: Snapshot, names: Sequence[str], dark: bool) -> None:
    """Show the table with a row for each label and one for all users."""
    features = now.features.items
    lines = now.cached("figures", lambda: figures.label_figures(now))
    revenue = [] if lines[-1].revenue is None else ["share of revenue"]
    means = [f"mean {html.escape(heading(each))}" for each in features]
    headings = ("label", "users", "share", *revenue, *means, "since opened")
    rows = []
    sizes = now.sizes()
    sizes_before = then.sizes(max(now.n_labels, then.n_labels))
    for each in lines:
        is_label = each.label != NO_LABEL
        name = chip(each.label, dark) + html.escape(label_name(each.label, names)) if is_label else "all"
        change = sizes[each.label] - sizes_before[each.label] if is_label else len(now.present) - len(then.present)
        shares = (each.share,) if each.revenue is None else (each.share, each.revenue)
        rows.append([name, *map(signed, (each.users, *shares, *each.means, f"{change:+,}"))])
    ages = "; an age is counted from the newest user" if any(now.features.units_per_day) else ""
    st.html(table_of(f"Each label{ages}", headings, rows, last="all"))


def signed(number: str) -> str:
    """Return the text of a number with a minus sign instead of a hyphen."""
    return f"−{number[1:]}" if number.startswith("-") else number


def chip(label: int, dark: bool) -> str:
    """Return the marker of a label in its colour, as HTML."""
    colour = colour_of(label, dark)
    marker = MARKER_TEXTS[label % len(MARKER_TEXTS)]
    return f'<span class="chip" aria-hidden="true" style="color:{colour}">{marker}</span>'


def table_of(
    caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]], last: str = "", texts: int = 1
) -> str:
    """Return a table as HTML; its entries are HTML, the first `texts` columns texts, the others numbers."""
    kinds = ['class="text"' if column < texts else "" for column in range(len(headings))]
    head = "".join(f'<th scope="col" {kind}>{heading}</th>' for kind, heading in zip(kinds, headings, strict=True))
    lines = []
    for number, row in enumerate(rows, 1):
        first, *rest = row
        row_class = f'class="{last}"' if last and number == len(rows) else ""
        entries = "".join(f"<td {kind}>{entry}</td>" for kind, entry in zip(kinds[1:], rest, strict=True))
        lines.append(f'<tr {row_class}><th scope="row" class="text">{first}</th>{entries}</tr>')
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    scroll = (
        f'class="scroll long" tabindex="0" role="region" aria-label="{caption}"'
        if len(rows) > MAX_ROWS
        else 'class="scroll"'
    )
    return f'<div {scroll}><table class="labels"><caption>{caption}</caption>{body}</table></div>'


# the picture


def show_clusters(now: Snapshot, names: tuple[str, ...], dark: bool) -> None:
    """Show the cluster plot and its settings."""
    st.subheader("Clusters", anchor=False)
    if not len(now.present):
        st.info("no users yet")
        return
    features = shown_features(now)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    axes = left.radio("Axes", AXES, horizontal=True, key="axes", help="automatic: logarithmic if values differ widely")
    visible = window(features)
    right.button(
        "Show all users", disabled=visible is None, on_click=set_window, args=(features, None), key="all_users"
    )
    view = View(axes, features, visible, names, dark)
    figure = now.cached(view, lambda: picture.clusters(now, view))
    n_windows = st.session_state.setdefault("n_windows", 0)
    key = "-".join(("clusters", str(n_windows), *features))
    st.plotly_chart(
        figure,
        key=key,
        on_select=lambda: zoom_to_box(now, view, key),
        selection_mode="box",
        config={"displayModeBar": False},
    )
    mean = "A number in a circle marks the mean of that label, on a logarithmic axis the mean of the logarithms."
    st.caption(f"Drag a box to zoom in. {mean}")
    with st.expander("Zoom by numbers"):
        show_limits(now, features)


def shown_features(now: Snapshot) -> tuple[str, str]:
    """Return the features on both axes; of more than two, the reader of the page chooses.

    A feature alone, or on both axes, has the labels on the vertical one.
    """
    names = now.features.names
    if len(names) < 3:
        return names[0], names[1] if len(names) > 1 else LABEL
    options = {"horizontal": names, "vertical": (*names, LABEL)}
    for index, (key, allowed) in enumerate(options.items()):
        if st.session_state.get(key) not in allowed:  # also after a change of the features
            st.session_state[key] = names[index]
    first, second = (
        column.selectbox(f"{key} axis".capitalize(), allowed, key=key)
        for column, (key, allowed) in zip(st.columns(2), options.items(), strict=True)
    )
    return first, LABEL if second == first else second


def window(features: tuple[str, str]) -> Window | None:
    """Return the visible part of the plot of these features, None for all users."""
    shown, found = st.session_state.get("window", (features, None))
    return found if shown == features else None


def set_window(features: tuple[str, str], wanted: Window | None) -> None:
    """Show a part of the plot of these features, or with None all users."""
    st.session_state["window"] = (features, wanted)
    st.session_state["n_windows"] = st.session_state.get("n_windows", 0) + 1  # part of a key: clears the selection


def zoom_to_box(now: Snapshot, view: View, key: str) -> None:
    """Zoom to the box that was drawn; on an axis of labels, all stay visible."""
    boxes = st.session_state[key]["selection"]["box"]
    if boxes:
        limits: list[float | None] = []
        for axis, ends in zip(axes_of(now, view.features, view.axes), (boxes[-1]["x"], boxes[-1]["y"]), strict=True):
            values = sorted(axis.value_at(coordinate) for coordinate in ends)
            limits += [None, None] if axis.n_labels else [values[0], values[-1]]
        set_window(view.features, full_window(now, view.features).with_limits(*limits))


def show_limits(now: Snapshot, features: tuple[str, str]) -> None:
    """Show the limits of the plot as inputs, for the keyboard; empty if all users are visible.

    They do not show the limits of all users, because a value that changes would replace what is being typed.
    """
    current = window(features)
    values = current.limits if current else (None,) * 4
    chosen = [now.features.by_name[name] for name in features if name != LABEL]
    ends = [(each, end) for each in chosen for end in ("from", "to")]
    with st.form("limits", border=False):
        columns = st.columns(len(ends))
        typed = [limit_input(*each) for each in zip(columns, *zip(*ends, strict=True), values, strict=False)]
        if st.form_submit_button("Zoom"):
            try:
                limits = [limit_of(*each, text) for each, text in zip(ends, typed, strict=True)]
            except ValueError as error:
                st.error(literal(str(error)))
                return
            all_users = full_window(now, features)
            set_window(features, all_users.with_limits(*limits, *[None] * (4 - len(limits))))
            st.rerun(scope="fragment")


def limit_input(column: DeltaGenerator, feature: Feature, end: str, value: float | None) -> float | str | None:
    """Show the input of one limit, and return what is in it: a number, or the text of a point in time."""
    label = f"{heading(feature)} {end}"
    if not feature.units_per_day:
        number: float | None = column.number_input(label, value=value)
        return number
    text = None if value is None else time_text(feature, value, "s")
    found: str | None = column.text_input(label, value=text, placeholder="2026-12-01")
    return found


def limit_of(feature: Feature, end: str, typed: float | str | None) -> float | None:
    """Return the value of a limit, None for an empty one; ValueError for a text that is no point in time."""
    if isinstance(typed, str):
        return time_of(typed.strip(), feature, end=end == "to") if typed.strip() else None
    return typed


# changes


def show_changes(reader: Reader, now: Snapshot, moved: Moves, opened_at: float, view: View) -> None:
    """Show the sizes of the labels since the page was opened, and the users who moved."""
    st.subheader("Since this page was opened", anchor=False)
    left, right = st.columns(2)
    with left:
        sizes = picture.sizes_over_time(reader.history.since(opened_at), reader.up_to_date_at, view)
        st.plotly_chart(sizes, key="sizes", config={"displayModeBar": False})
    with right:
        st.html(flows(moved, view.names))
    if len(moved.indices):
        st.html(who_moved(now, moved, view.names))


def flows(moved: Moves, names: Sequence[str]) -> str:
    """Return the table of the number of users who moved from each label to each other label."""
    if not len(moved.indices):
        return "<p>No user is new, was deleted or moved.</p>"
    size = len(moved.pairs)
    titles = [html.escape(label_name(label, names)) for label in range(size - 1)]
    rows = []
    for before, title in enumerate([*(f"from {title}" for title in titles), "new"]):
        counts = enumerate(moved.pairs[before].tolist())
        rows.append([title, *(f"{n_users:,}" if now != before else "" for now, n_users in counts)])
    headings = ["", *(f"to {title}" for title in titles), "deleted"]
    return table_of("Moves between labels, in users", headings, rows)


def who_moved(now: Snapshot, moved: Moves, names: Sequence[str]) -> str:
    """Return the table of the users with the latest moves."""
    rows = []
    for index in moved.indices[:MAX_MOVED].tolist():
        user = figures.user_at(now, index)
        before = figures.label_text(int(moved.before[index]), names)
        after = figures.label_text(user.label, names)
        texts = [html.escape(text) for text in (format_user_id(user.user_id), before, after)]
        rows.append([*texts, figures.time_text(user.changed)])
    more = f", the last {MAX_MOVED} of {len(moved.indices):,}" if len(moved.indices) > MAX_MOVED else ""
    return table_of(f"Users who moved{more}", ("user_id", "from", "to", "when"), rows, texts=4)


# one user, one list


def show_users(reader: Reader, now: Snapshot, names: Sequence[str]) -> None:
    """Show the search for a user, and the download of the users of a label."""
    left, right = st.columns(2)
    with left:
        st.subheader("Find a user", anchor=False)
        text = st.text_input("user_id, or part of it", key="find")
        if text:
            st.html(found_users(reader, now, text, names))
    with right:
        st.subheader("Download a list", anchor=False)
        options = range(NO_LABEL, now.n_labels)
        label = st.selectbox(
            "Users of",
            options,
            format_func=lambda each: ALL_LABELS if each == NO_LABEL else label_name(each, names),
            key="list",
        )
        output = reader.settings.output
        file = f"{output}.csv" if label == NO_LABEL else f"{output}-{label}.csv"
        st.download_button(
            "Save as CSV", lambda: latest_csv(reader, label, names), file, "text/csv", on_click="ignore", key="save"
        )


def latest_csv(reader: Reader, label: int, names: Sequence[str]) -> bytes:
    """Return the list at the time of the download."""
    if reader.latest is None:
        return b""
    return csv_of(reader.latest, None if label == NO_LABEL else label, names)


def found_users(reader: Reader, now: Snapshot, text: str, names: Sequence[str]) -> str:
    """Return the table of the users that the search finds."""
    users = now.cached(("find", text), lambda: figures.find(now, text, reader.table.index_of(text)))
    if not users:
        return f"<p>There is no user {html.escape(format_user_id(text))}.</p>"
    rows = [
        [
            html.escape(format_user_id(each.user_id)),
            html.escape(figures.label_text(each.label, names)),
            *found_values(now, each),
            f"{figures.time_text(each.changed)}<br>{figures.age_text(each.changed)}" if each.changed else "-",
        ]
        for each in users
    ]
    names_of = (html.escape(heading(each)) for each in now.features.items)
    return table_of("Found", ("user_id", "label", *names_of, "last change"), rows, texts=2)


def found_values(now: Snapshot, user: figures.Found) -> list[str]:
    """Return the features of a user as texts; a deleted user has none."""
    if user.label == NO_LABEL:
        return ["-"] * len(now.features)
    return [value_text(*each) for each in zip(now.features.items, user.values, strict=True)]


if __name__ == "__main__":
    show()
