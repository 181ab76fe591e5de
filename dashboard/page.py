"""The page itself: what stands where. Streamlit runs this file for each browser, and its fragment every two seconds.

What is shown is made of snapshots (`table`), read by one thread for all (`reader`).
"""

import html
import re
import sys
import time
from collections.abc import Sequence

import streamlit as st

from classifier.formatting import format_amount, format_user_id
from classifier.label_names import label_name, label_names_from, missing_name_message
from classifier.users.table import NO_LABEL
from dashboard import figures, picture
from dashboard.bins import AXES, Window, scales_of, value_at, whole
from dashboard.lists import csv_of
from dashboard.moves import Moves, moves
from dashboard.options import parsed
from dashboard.picture import View, colour_of
from dashboard.reader import Reader
from dashboard.table import Snapshot

REDRAW_SECONDS = 2.0
MOST_MOVED = 50  # users listed
LONG = 12  # rows; a longer table is scrolled by itself
ALL = "all labels"
GLYPHS = "●■▲◆▼✚✖⬢⬟★"  # the shapes of the client's plot
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
def opened() -> Reader:
    """Begin to read, once for all browsers."""
    settings, _ = parsed(sys.argv[1:])
    return Reader(settings).start()


def show() -> None:
    """Lay out the page."""
    reader = opened()
    st.set_page_config(page_title=f"Labels of {reader.settings.output}", layout="wide")
    st.html(STYLE)
    st.title(f"Labels of {reader.settings.output}", anchor=False)
    live(reader)


@st.fragment(run_every=REDRAW_SECONDS)
def live(reader: Reader) -> None:
    """Everything that changes."""
    if trouble := reader.trouble:
        st.error(literal(trouble), icon=":material/error:")
    if (now := reader.latest) is None:
        st.info(literal(reader.doing), icon=":material/hourglass_top:")
        return
    names = tuple(label_names_from(reader.settings.label_names, None))
    if complaint := missing_name_message(now.n_labels - 1, names, reader.settings.output):
        st.warning(literal(complaint))
    then, since = st.session_state.setdefault("opened", (now, time.time()))
    moved = now.remembered(("moves", then.version), lambda: moves(then, now))
    show_totals(reader, now, moved)
    dark = st.context.theme.type == "dark"
    show_labels(now, then, names, dark)
    show_clusters(now, names, dark)
    show_changes(reader, now, moved, since, View("", None, names, dark))
    show_users(reader, now, names)


def literal(text: str) -> str:
    """Return a text so that Markdown shows it as it is."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


# numbers


def show_totals(reader: Reader, now: Snapshot, moved: Moves) -> None:
    """How many users, how new, how many moved."""
    with st.container(horizontal=True, gap="large"):
        st.metric("Users", f"{len(now.there):,}", width="content")
        st.metric("Newest label", figures.age(now.newest), width="content")
        st.metric("Moved since opened", f"{moved.n_moved:,}", width="content")
        st.metric("Come / gone since opened", f"{moved.n_new:,} / {moved.n_gone:,}", width="content")
    seen = figures.clock(reader.looked_at)
    st.caption(f"Read from the topic until {seen}. This page keeps itself up to date; label 0 spends least.")


def show_labels(now: Snapshot, then: Snapshot, names: Sequence[str], dark: bool) -> None:
    """One line for each label, and one for all."""
    headings = (
        "label",
        "users",
        "share",
        "share of revenue",
        "mean total_amount",
        "mean num_transactions",
        "since opened",
    )
    rows = []
    sizes, before = now.sizes(), then.sizes(max(now.n_labels, then.n_labels))
    for each in now.remembered("figures", lambda: figures.label_figures(now)):
        is_label = each.label != NO_LABEL
        name = chip(each.label, dark) + html.escape(label_name(each.label, names)) if is_label else "all"
        change = sizes[each.label] - before[each.label] if is_label else len(now.there) - len(then.there)
        cells = (each.users, each.share, each.revenue, each.mean_amount, each.mean_transactions, f"{change:+,}")
        rows.append([name, *(cell.replace("-", "−") for cell in cells)])
    st.html(table_of("Each label", headings, rows, last="all"))


def chip(label: int, dark: bool) -> str:
    """Return the shape and colour by which the picture shows a label."""
    colour, glyph = colour_of(label, dark), GLYPHS[label % len(GLYPHS)]
    return f'<span class="chip" aria-hidden="true" style="color:{colour}">{glyph}</span>'


def table_of(
    caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]], last: str = "", texts: int = 1
) -> str:
    """Return a table; cells are HTML, the first `texts` columns text, the rest numbers."""
    kinds = ['class="text"' if at < texts else "" for at in range(len(headings))]
    head = "".join(f'<th scope="col" {kind}>{heading}</th>' for kind, heading in zip(kinds, headings, strict=True))
    lines = []
    for at, row in enumerate(rows):
        first, *rest = row
        kind = f'class="{last}"' if last and at == len(rows) - 1 else ""
        cells = "".join(f"<td {kind}>{cell}</td>" for kind, cell in zip(kinds[1:], rest, strict=True))
        lines.append(f'<tr {kind}><th scope="row" class="text">{first}</th>{cells}</tr>')
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    scroll = (
        f'class="scroll long" tabindex="0" role="region" aria-label="{caption}"'
        if len(rows) > LONG
        else 'class="scroll"'
    )
    return f'<div {scroll}><table class="labels"><caption>{caption}</caption>{body}</table></div>'


# the picture


def show_clusters(now: Snapshot, names: tuple[str, ...], dark: bool) -> None:
    """The clusters, and what to look at of them."""
    st.subheader("Clusters", anchor=False)
    if not len(now.there):
        st.info("no users yet")
        return
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    axes = left.radio(
        "Axes", AXES, horizontal=True, key="axes", help="automatic: logarithmic where totals lie far apart"
    )
    right.button("Show everybody", disabled=window() is None, on_click=look_at, args=(None,), key="everybody")
    view = View(axes, window(), names, dark)
    figure = now.remembered(view, lambda: picture.clusters(now, view))
    n_looks = st.session_state.setdefault("n_looks", 0)
    st.plotly_chart(
        figure,
        key=f"clusters-{n_looks}",
        on_select=lambda: look_closer(now, view, f"clusters-{n_looks}"),
        selection_mode="box",
        config={"displayModeBar": False},
    )
    st.caption("Drag a box to look closer. A number in a circle is the mean of its label.")
    with st.expander("Look closer by numbers"):
        show_ends(now)


def window() -> Window | None:
    """What is looked at, None for everybody."""
    found: Window | None = st.session_state.get("window")
    return found


def look_at(wanted: Window | None) -> None:
    """Look at a part, or at everybody."""
    st.session_state["window"] = wanted
    st.session_state["n_looks"] = st.session_state.get("n_looks", 0) + 1  # a new picture: nothing is selected in it


def look_closer(now: Snapshot, view: View, key: str) -> None:
    """Look at the box that was drawn."""
    boxes = st.session_state[key]["selection"]["box"]
    if boxes:
        first, second = scales_of(now, view.axes)
        amounts = sorted(value_at(first, at) for at in boxes[-1]["x"])
        counts = sorted(value_at(second, at) for at in boxes[-1]["y"])
        look_at(Window((amounts[0], counts[0]), (amounts[-1], counts[-1])))


def show_ends(now: Snapshot) -> None:
    """The ends of the picture as numbers, for the keyboard; empty where everybody is looked at.

    A number that changed by itself would take along what somebody is typing.
    """
    there = window()
    values = there.ends if there else (None,) * 4
    labels = ("total_amount from", "total_amount to", "num_transactions from", "num_transactions to")
    with st.form("ends", border=False):
        ends = [
            column.number_input(label, value=value)
            for column, label, value in zip(st.columns(4), labels, values, strict=True)
        ]
        if st.form_submit_button("Look closer"):
            look_at(whole(now).part(*ends))
            st.rerun(scope="fragment")


# what changed


def show_changes(reader: Reader, now: Snapshot, moved: Moves, since: float, view: View) -> None:
    """Sizes since the page was opened, and who moved."""
    st.subheader("Since this page was opened", anchor=False)
    left, right = st.columns(2)
    with left:
        sizes = picture.sizes_over_time(reader.history.since(since), reader.looked_at, view)
        st.plotly_chart(sizes, key="sizes", config={"displayModeBar": False})
    with right:
        st.html(flows(moved, view.names))
    if len(moved.places):
        st.html(who_moved(now, moved, view.names))


def flows(moved: Moves, names: Sequence[str]) -> str:
    """Return how many users moved from which label to which."""
    if not len(moved.places):
        return "<p>Nobody has come, gone or moved.</p>"
    size = len(moved.pairs)
    called = [html.escape(label_name(label, names)) for label in range(size - 1)]
    rows = [
        [
            f"from {name}" if name else "came",
            *(f"{n:,}" if at != row else "" for at, n in enumerate(moved.pairs[row].tolist())),
        ]
        for row, name in enumerate([*called, ""])
    ]
    return table_of("Who moved where, in users", ["", *(f"to {name}" for name in called), "gone"], rows)


def who_moved(now: Snapshot, moved: Moves, names: Sequence[str]) -> str:
    """Return those who moved last."""
    rows = []
    for place in moved.places[:MOST_MOVED].tolist():
        user = figures.user_at(now, place)
        before, after = (figures.named(label, names) for label in (int(moved.before[place]), user.label))
        rows.append(
            [html.escape(each) for each in (format_user_id(user.user_id), before, after)]
            + [figures.moment(user.changed)]
        )
    more = f", the last {MOST_MOVED} of {len(moved.places):,}" if len(moved.places) > MOST_MOVED else ""
    return table_of(f"Users who moved{more}", ("user_id", "from", "to", "when"), rows, texts=4)


# one user, one list


def show_users(reader: Reader, now: Snapshot, names: Sequence[str]) -> None:
    """Find a user; take the users of a label along."""
    left, right = st.columns(2)
    with left:
        st.subheader("Find a user", anchor=False)
        text = st.text_input("user_id, or a part of it", key="find")
        if text:
            st.html(found(reader, now, text, names))
    with right:
        st.subheader("Take a list along", anchor=False)
        options = range(NO_LABEL, now.n_labels)
        label = st.selectbox(
            "Users of",
            options,
            format_func=lambda each: ALL if each == NO_LABEL else label_name(each, names),
            key="list",
        )
        output = reader.settings.output
        file = f"{output}.csv" if label == NO_LABEL else f"{output}-{label}.csv"
        st.download_button(
            "Save as CSV", lambda: csv_now(reader, label, names), file, "text/csv", on_click="ignore", key="save"
        )


def csv_now(reader: Reader, label: int, names: Sequence[str]) -> bytes:
    """Return the list as it is when it is asked for."""
    return csv_of(reader.latest, None if label == NO_LABEL else label, names) if reader.latest else b""


def found(reader: Reader, now: Snapshot, text: str, names: Sequence[str]) -> str:
    """Return who was found."""
    users = now.remembered(("find", text), lambda: figures.find(now, text, reader.table.place(text)))
    if not users:
        return f"<p>There is no user {html.escape(format_user_id(text))}.</p>"
    rows = [
        [
            html.escape(format_user_id(each.user_id)),
            html.escape(figures.named(each.label, names)),
            format_amount(each.amount),
            f"{each.n_transactions:,}",
            f"{figures.moment(each.changed)}<br>{figures.age(each.changed)}" if each.changed else "-",
        ]
        for each in users
    ]
    return table_of("Found", ("user_id", "label", "total_amount", "num_transactions", "last change"), rows, texts=2)


if __name__ == "__main__":
    show()
