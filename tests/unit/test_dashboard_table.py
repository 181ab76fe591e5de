"""The table of the dashboard: columns of the newest records, and immutable snapshots."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.commands.export import spreadsheet_text
from classifier.features import TOTALS
from classifier.label_names import missing_name_message
from classifier.users.table import NO_LABEL
from dashboard import figures
from dashboard.history import MAX_POINTS, History
from dashboard.lists import csv_of
from dashboard.moves import moves
from dashboard.table import INITIAL_CAPACITY, Table

NAMES = st.sampled_from(["ann", "bob", "cem", "dea", "élo"])
TAKEN = st.tuples(NAMES, st.tuples(st.floats(-1e9, 1e9), st.integers(0, 2**53)), st.integers(0, 4))
BATCHES = st.lists(st.tuples(st.lists(TAKEN, max_size=6), st.lists(NAMES, max_size=2)), max_size=6)


def table_of(*labelled: tuple[str, tuple[float, int], int]) -> Table:
    """A table with some users, changed one millisecond after another."""
    table = Table()
    table.update(labelled, range(1, len(labelled) + 1))
    return table


@given(BATCHES)
def test_the_newest_record_of_each_user_counts(
    batches: list[tuple[list[tuple[str, tuple[float, int], int]], list[str]]],
) -> None:
    table, known = Table(), dict[str, tuple[float, int, int]]()
    for labelled, deleted in batches:
        table.update(labelled, [7] * len(labelled))
        known.update({user_id: (*row, label) for user_id, row, label in labelled})
        table.delete(deleted, [8] * len(deleted))
        known = {user_id: row for user_id, row in known.items() if user_id not in deleted}
    now = table.snapshot()
    columns = zip(*(column.tolist() for column in now.values), now.labels.tolist(), strict=True)
    shown = {now.user_ids[at]: row for at, row in enumerate(columns) if row[2] != NO_LABEL}
    assert shown == known
    assert now.points(now.features.names).shape == (len(known), 2)
    assert sum(now.sizes()) == len(known)
    assert [table.index_of(user_id) for user_id in now.user_ids] == list(range(len(now.user_ids)))


def test_it_grows_and_keeps_indices() -> None:
    many = [(f"user {n}", (float(n), n), n % 3) for n in range(INITIAL_CAPACITY + 5)]
    table = Table()
    table.update(many[:3], [1, 2, 3])
    table.update(many, range(len(many)))
    now = table.snapshot()
    assert now.values[1].tolist() == list(range(len(many)))
    assert table.index_of("user 2") == 2
    table.clear(TOTALS)
    assert len(table.snapshot().present) == 0
    table.update(many[-1:], [9])
    assert table.snapshot().present.tolist() == [len(many) - 1], "at the same index as before"


def test_a_snapshot_is_immutable() -> None:
    table = table_of(("ann", (1.0, 1), 0))
    before = table.snapshot()
    table.update([("bob", (2.0, 2), 1), ("ann", (9.0, 9), 1)], [5, 6])
    assert (before.sizes(), before.newest_ms, len(before.labels)) == ([1], 1, 1)
    now = table.snapshot()
    assert (now.sizes(), now.newest_ms, now.version > before.version) == ([0, 2], 6, True)
    assert before.sizes(2) == [1, 0]
    results = [now.cached("x", lambda: "computed"), now.cached("x", lambda: "computed again")]
    assert results == ["computed", "computed"]


def test_an_empty_table() -> None:
    now = Table().snapshot()
    assert (now.n_labels, now.newest_ms, now.sizes()) == (0, 0, [])
    (whole,) = figures.label_figures(now)
    assert whole == (NO_LABEL, "0", "0.0%", "-", ["-", "-"])


def test_moved_new_and_deleted_users() -> None:
    table = table_of(("ann", (1.0, 1), 0), ("bob", (2.0, 1), 0), ("cem", (3.0, 1), 1), ("dea", (4.0, 1), 2))
    then = table.snapshot()
    table.update([("ann", (5.0, 1), 2), ("eve", (1.0, 1), 0), ("bob", (2.5, 1), 0)], [20, 30, 40])
    table.delete(["cem"], [25])
    now = table.snapshot()
    found = moves(then, now)
    assert (found.n_moved, found.n_new, found.n_deleted) == (1, 1, 1)
    assert found.pairs.tolist() == [[1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0]]
    assert [now.user_ids[at] for at in found.indices] == ["eve", "cem", "ann"], "the latest change comes first"
    assert found.before[found.indices].tolist() == [NO_LABEL, 1, 0]
    same = moves(now, now)
    assert (same.n_moved, len(same.indices)) == (0, 0)


def test_moves_to_a_new_label() -> None:
    table = table_of(("ann", (1.0, 1), 0), ("bob", (1.0, 1), 1))
    then = table.snapshot()
    table.update([("bob", (1.0, 1), 4)], [9])
    assert moves(then, table.snapshot()).pairs[1, 4] == 1
    assert moves(table.snapshot(), then).pairs[4, 1] == 1


def test_figures_of_each_label() -> None:
    table = table_of(("ann", (1.0, 1), 0), ("bob", (2.0, 3), 0), ("cem", (3000.0, 6), 2))
    assert figures.label_figures(table.snapshot()) == [
        (0, "2", "66.7%", "0.1%", ["1.50", "2.0"]),
        (1, "0", "0.0%", "0.0%", ["-", "-"]),
        (2, "1", "33.3%", "99.9%", ["3,000.00", "6.0"]),
        (NO_LABEL, "3", "100.0%", "100.0%", ["1,001.00", "3.3"]),
    ]


@pytest.mark.parametrize("amount", [5.0, 1.0])
def test_no_shares_of_a_revenue_that_is_not_positive(amount: float) -> None:
    table = table_of(("ann", (-5.0, 1), 0), ("bob", (amount, 1), 0))
    assert {each.revenue for each in figures.label_figures(table.snapshot())} == {"-"}


def test_finding_a_user() -> None:
    table = table_of(("ann", (1.0, 1), 0), ("anna", (2.0, 2), 1), ("bob", (3.0, 3), 1), ("joan", (4.0, 4), 1))
    table.delete(["joan"], [9])
    now = table.snapshot()
    assert figures.find(now, "ann", table.index_of("ann")) == [("ann", (1.0, 1), 0, 1)]
    assert [each.user_id for each in figures.find(now, "an", table.index_of("an"))] == ["ann", "anna"]
    (deleted,) = figures.find(now, "joan", table.index_of("joan"))
    assert (figures.label_text(deleted.label, ()), deleted.changed) == ("no label", 9)
    assert figures.find(now, "nobody", None) == []
    table.update([("zoe", (1.0, 1), 0)], [10])
    assert figures.find(now, "zoe", table.index_of("zoe")) == [], "not in this snapshot yet"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s ago"),
        (59, "59 s ago"),
        (61, "1 min 1 s ago"),
        (3660, "1 h 1 min ago"),
        (90_000, "1 day 1 h ago"),
        (-9, "0 s ago"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    assert figures.age_text(1_000_000, 1000 + seconds) == text


def test_no_time_without_a_record() -> None:
    table = table_of(("ann", (1.0, 1), 0))
    table.clear(TOTALS)
    deleted = figures.user_at(table.snapshot(), 0)
    assert (figures.age_text(deleted.changed), figures.time_text(deleted.changed)) == ("-", "-")
    assert figures.time_text(1_500) == figures.local_time(1.5)


def test_names_that_are_too_few() -> None:
    message = "--label-names: out has a label 2, got 2 names; add a name for it"
    assert missing_name_message(2, ("a", "b"), "out") == message
    assert [missing_name_message(1, names, "out") for names in ((), ("a", "b"), ("a", "b", "c"))] == ["", "", ""]


def test_a_list_as_csv() -> None:
    table = table_of(("zoe", (1.5, 1), 1), ("=1+1", (2.0, 2), 1), ("bob", (3.0, 3), 0))
    table.delete(["bob"], [9])
    now = table.snapshot()
    heading = '"user_id","total_amount","num_transactions","label"'
    lines = [heading, f'"{spreadsheet_text("=1+1")}",2.0,2,1', '"zoe",1.5,1,1']
    assert csv_of(now, None).decode().splitlines() == csv_of(now, 1).decode().splitlines() == lines
    assert csv_of(now, 0).decode().splitlines() == [heading]
    named = [f'{heading},"label_name"', f'"{spreadsheet_text("=1+1")}",2.0,2,1,"much"', '"zoe",1.5,1,1,"much"']
    assert csv_of(now, None, ("little", "much")).decode().splitlines() == named
    assert csv_of(now, None, ("little",)).decode().splitlines()[1].endswith(',1,"1"'), "a label without a name"


def test_history_is_bounded_and_ends_with_the_newest_point() -> None:
    history = History()
    for second in range(10 * MAX_POINTS):
        history.add(float(second), [second])
        points = history.since(0)
        assert len(points) <= MAX_POINTS
        assert points[-1] == (second, [second])
    assert len(points) >= MAX_POINTS / 4
    assert points[0].time == history.since(0)[0].time
    intervals = np.diff([point.time for point in points])
    assert intervals[:-1].max() <= 4 * intervals[:-1].min()


def test_history_since_a_time() -> None:
    history = History()
    for second in (10.0, 20.0, 30.0):
        history.add(second, [1])
    assert [[point.time for point in history.since(time)] for time in (0, 20, 25, 99)] == [
        [10.0, 20.0, 30.0],
        [20.0, 30.0],
        [20.0, 30.0],
        [30.0],
    ]
