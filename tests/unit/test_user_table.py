"""The user table is the multiset's own sum, whatever the order, the batches and the restarts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from classifier.users.table import UserTable
from tests.support import oracle
from tests.support.changelog import Change as Record
from tests.support.changelog import Op, Row
from tests.support.settling import settle
from tests.support.strategies import changelogs, cuts, interleavings, placements
from tests.support.user_states import UserState, by_column, states_to_write

Totals = tuple[float, int]
A, B, C = (1.0, 1), (2.0, 2), (3.0, 3)


def apply(table: UserTable, records: list[Record]) -> None:
    """Take records into the table, all at once."""
    rows = [(row.user_id, (row.total_amount, row.num_transactions)) for _, row in records]
    table.add_all(rows, [op.sign for op, _ in records])


def add(table: UserTable, user_id: str, row: Totals, count: int) -> None:
    """Take one row into the table."""
    table.add_all([(user_id, row)], [count])


def made_up_labels(table: UserTable) -> NDArray[np.int32]:
    """Labels that depend on the rows alone."""
    return np.array([int(count) % 3 for _, count in table.rows], np.int32)


def shown(table: UserTable) -> oracle.Table:
    """The rows shown."""
    return dict(zip(table.user_ids, table.rows, strict=True))


def pieces(data: st.DataObject, records: list[Record]) -> list[list[Record]]:
    """The records in any order that a consumer may read, cut anywhere."""
    read = [change for _, change in data.draw(interleavings(data.draw(placements(records))))]
    ends = [*data.draw(cuts(len(read))), len(read)]
    return [read[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(st.data())
def test_any_order_and_any_batches_give_what_a_replay_gives(data: st.DataObject) -> None:
    records = data.draw(changelogs())
    table = UserTable()
    for piece in pieces(data, records):
        apply(table, piece)
        settle(table, at_end=data.draw(st.booleans()))
    settle(table)
    assert shown(table) == oracle.settled_table(records)
    assert table.user_ids == sorted(table.user_ids)
    assert table.totals.tolist() == [list(row) for row in table.rows]
    assert table.n_unmatched == 0


multisets = st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from([A, B, C]), st.sampled_from([1, -1])))


@given(multisets, st.data())
def test_any_adds_and_retracts_keep_the_sum(steps: list[tuple[str, Totals, int]], data: st.DataObject) -> None:
    """Also what no table would write: several rows at once, more retracts than adds."""
    table, sums = UserTable(), dict[str, dict[Totals, int]]()
    said: dict[str, UserState] = {}
    for user_id, row, sign in steps:
        add(table, user_id, row, sign)
        rows = sums.setdefault(user_id, {})
        rows[row] = rows.get(row, 0) + sign
        if data.draw(st.booleans()):
            settle(table, at_end=False)
            said.update({change.user_id: change for change in states_to_write(table.relabel(made_up_labels(table)))})
    settle(table)
    said.update({change.user_id: change for change in states_to_write(table.relabel(made_up_labels(table)))})
    for user_id, rows in sums.items():
        change = said.get(user_id, UserState(user_id, None, -1, {}))
        known = dict(change.pending)
        if change.row is not None:
            assert rows[change.row] > 0
            known[change.row] = known.get(change.row, 0) + 1
        assert (change.row is None) == (max(rows.values()) <= 0)
        assert {row: count for row, count in known.items() if count} == {row: n for row, n in rows.items() if n}


@given(st.data())
def test_what_was_written_restores_the_table(data: st.DataObject) -> None:
    """From any step on, a table loaded from the compacted output does what the kept one does."""
    kept, output = UserTable(), dict[str, UserState]()
    restored = kept
    for piece in pieces(data, data.draw(changelogs())):
        if data.draw(st.booleans()):
            restored = UserTable()
            restored.load(by_column(output.values()), confirmed=True)
            assert shown(restored) == shown(kept)
            assert restored.labels.tolist() == kept.labels.tolist()
            assert (restored.rowless, restored.n_unmatched) == (kept.rowless, kept.n_unmatched)
            assert not list(restored.relabel(restored.labels))
        at_end = data.draw(st.booleans())
        for table in {id(kept): kept, id(restored): restored}.values():
            apply(table, piece)
            settle(table, at_end=at_end)
        changes = states_to_write(kept.relabel(made_up_labels(kept)))
        if restored is not kept:
            assert states_to_write(restored.relabel(made_up_labels(restored))) == changes
        output.update({change.user_id: change for change in changes})


def test_the_row_added_last_is_the_current_one() -> None:
    table = UserTable()
    for row in (A, B, C, A):
        add(table, "x", row, 1)
    settle(table)
    assert table.row("x") == A
    add(table, "x", A, -2)
    settle(table)
    assert table.row("x") == C
    (change,) = table.relabel(np.zeros(1, np.int32))
    assert change == UserState("x", C, 0, {B: 1})


def test_a_user_without_a_row_is_shown_until_the_end() -> None:
    table = UserTable()
    add(table, "x", A, 1)
    settle(table)
    table.relabel(np.zeros(1, np.int32))
    add(table, "x", A, -1)
    settle(table, at_end=False)
    assert (table.row("x"), table.rowless) == (A, {"x"})
    assert list(table.relabel(np.zeros(1, np.int32))) == [UserState("x", A, 0, {A: -1})]
    settle(table)
    assert (table.row("x"), table.rowless, len(table)) == (None, set(), 0)
    assert list(table.relabel(np.empty(0, np.int32))) == [UserState("x", None, -1, {})]


def test_only_users_without_a_row_are_dropped_and_only_those_named() -> None:
    table = UserTable()
    for user_id in "xyz":
        add(table, user_id, A, 1)
    table.settle()
    for user_id in "yz":
        add(table, user_id, A, -1)
    table.settle()
    table.delete({"x", "y"})
    assert (shown(table), table.rowless) == ({"x": A, "z": A}, {"z"})


def test_a_user_is_told_once() -> None:
    table = UserTable()
    apply(table, [Record(Op.INSERT, Row(name, 1.0, 1)) for name in "cab"])
    settle(table)
    assert [change.user_id for change in states_to_write(table.relabel(np.array([0, 1, 2], np.int32)))] == [
        "a",
        "b",
        "c",
    ]
    assert list(table.relabel(np.array([0, 1, 2], np.int32))) == []
    assert list(table.relabel(np.array([0, 2, 2], np.int32))) == [UserState("b", (1.0, 1), 2, {})]


def test_an_update_to_the_same_row_is_no_change() -> None:
    table = UserTable()
    add(table, "x", A, 1)
    settle(table)
    table.relabel(np.zeros(1, np.int32))
    add(table, "x", A, -1)
    add(table, "x", A, 1)
    settle(table)
    assert list(table.relabel(np.zeros(1, np.int32))) == []


def test_labels_that_were_handed_over_stay_as_they_are() -> None:
    table, labels = UserTable(), np.zeros(1, np.int32)
    for row in (A, B):
        table.replace("x", row)
        settle(table)
        assert states_to_write(table.relabel(labels)) == [UserState("x", row, 0, {})]
    assert labels.tolist() == [0]


@pytest.mark.parametrize(("row", "left"), [(B, {"x": B}), (None, {})])
def test_replace_forgets_what_was_known(row: Totals | None, left: oracle.Table) -> None:
    table = UserTable()
    add(table, "x", A, 2)
    settle(table)
    table.replace("x", row)
    settle(table)
    assert shown(table) == left
    assert all(change.pending == {} for change in states_to_write(table.relabel(np.zeros(len(table), np.int32))))


def test_a_rebuild_shows_users_until_the_end_and_drops_those_the_input_does_not_have() -> None:
    table = UserTable()
    said = [
        UserState("x", A, 2, {B: -1}),
        UserState("y", B, 1, {}),
        UserState("z", None, -1, {C: -1}),
        UserState("w", None, -1, {}),
    ]
    table.load(by_column(said), confirmed=False)
    add(table, "x", A, 1)
    settle(table, at_end=False)
    assert shown(table) == {"x": A, "y": B}
    settle(table)
    assert shown(table) == {"x": A}
    changes = states_to_write(table.relabel(np.array([2], np.int32)))
    assert {change.user_id: change.row for change in changes if change.user_id != "x"} == {"y": None, "z": None}
    assert all(change.pending == {} for change in changes)


def test_users_with_several_rows_are_counted_as_they_come_and_go() -> None:
    table = UserTable()
    steps = [(A, 1, False), (A, 1, True), (A, -1, False), (B, 1, True), (B, -1, False), (B, 1, True), (A, -1, False)]
    for row, count, several in steps:
        add(table, "x", row, count)
        settle(table)
        assert (table.duplicated == {"x"}) is several


def test_users_with_several_rows_are_restored() -> None:
    table = UserTable()
    said = [
        UserState("x", A, 0, {}),
        UserState("y", A, 0, {B: 1}),
        UserState("z", A, 0, {B: -1}),
        UserState("w", A, 0, {A: -1}),
    ]
    table.load(by_column(said), confirmed=True)
    assert (table.duplicated, table.unordered, table.rows_of("y")) == ({"y"}, {"y"}, [B, A])
    table.mark_all_ordered()
    assert table.unordered == set()


def test_rows_lie_as_they_were_read_where_two_came_between_two_ends() -> None:
    table = UserTable()
    add(table, "x", A, 1)
    settle(table)
    table.input_ended()
    add(table, "x", B, 1)
    settle(table)
    assert table.unordered == set(), "newer than what was there at the end"
    add(table, "x", C, 1)
    settle(table)
    assert table.unordered == {"x"}
    table.reorder({"x": [C, B]})
    assert (table.row("x"), table.rows_of("x"), table.unordered) == (B, [A, C, B], set())
    (change,) = table.relabel(np.zeros(1, np.int32))
    assert (change[1], list(change[3])) == (B, [A, C])


def test_a_row_that_is_added_once_more_is_news_too() -> None:
    table = UserTable()
    add(table, "x", A, 1)
    settle(table)
    table.input_ended()
    for row in (B, A):
        add(table, "x", row, 1)
    settle(table)
    assert (table.row("x"), table.unordered) == (A, {"x"})


def test_an_order_that_changes_is_told() -> None:
    """Of what is pending, too."""
    table = UserTable()
    for row in (A, B, C):
        add(table, "x", row, 1)
    settle(table)
    table.relabel(np.zeros(1, np.int32))
    table.reorder({"x": [B, A, C]})
    (change,) = table.relabel(np.zeros(1, np.int32))
    assert (change[1], list(change[3])) == (C, [B, A])


@pytest.mark.parametrize(
    ("rows", "news"),
    [
        ([B, A], []),
        ([A], [UserState("x", A, 0, {})]),
        ([C, A], [UserState("x", A, 0, {C: 1})]),
        ([A, B], [UserState("x", B, 0, {A: 1})]),
    ],
)
def test_a_rebuild_tells_of_pending_rows_what_has_changed(rows: list[Totals], news: list[UserState]) -> None:
    """Also where the row that is shown stays: what was pending would come back with the next start."""
    table = UserTable()
    table.load(by_column([UserState("x", A, 0, {B: 1})]), confirmed=False)
    for row in rows:
        add(table, "x", row, 1)
    settle(table)
    assert states_to_write(table.relabel(np.zeros(1, np.int32))) == news
    assert states_to_write(table.relabel(np.zeros(1, np.int32))) == []


@pytest.mark.parametrize("count", [2**53, 2**53 + 1, 2**63 - 1])
def test_counts_that_no_double_holds_are_told_as_they_are(count: int) -> None:
    table = UserTable()
    add(table, "x", (0.1, count), 1)
    add(table, "y", A, 1)
    settle(table)
    assert [change.row for change in states_to_write(table.relabel(np.zeros(2, np.int32)))] == [(0.1, count), A]
