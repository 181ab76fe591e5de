"""The user table has the current row of each user, for any order of records, any batches and any restarts."""

from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from classifier.users.multiset import Multiset
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
    """Add records to the table in one batch."""
    rows = [(row.user_id, (row.total_amount, row.num_transactions)) for _, row in records]
    table.add_all(rows, [op.sign for op, _ in records])


def add(table: UserTable, user_id: str, row: Totals, count: int) -> None:
    """Add one row to the table."""
    table.add_all([(user_id, row)], [count])


def made_up_labels(table: UserTable) -> NDArray[np.int32]:
    """Labels that depend on the rows alone."""
    return np.array([int(count) % 3 for _, count in table.rows], np.int32)


def shown(table: UserTable) -> oracle.Table:
    """The shown rows."""
    rows = (cast(tuple[float, int], row) for row in table.rows)
    return dict(zip(table.user_ids, rows, strict=True))


def pieces(data: st.DataObject, records: list[Record]) -> list[list[Record]]:
    """The records in any order in which a consumer may read them, in batches of any size."""
    read = [change for _, change in data.draw(interleavings(data.draw(placements(records))))]
    ends = [*data.draw(cuts(len(read))), len(read)]
    return [read[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(st.data())
def test_any_order_and_any_batches_give_the_table_of_a_replay(data: st.DataObject) -> None:
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
def test_any_adds_and_retracts_sum_up(steps: list[tuple[str, Totals, int]], data: st.DataObject) -> None:
    """Also changelogs that no table writes: several rows of a user, more retractions than additions."""
    table, sums = UserTable(), dict[str, Multiset]()
    written: dict[str, UserState] = {}
    for user_id, row, sign in steps:
        add(table, user_id, row, sign)
        rows = sums.setdefault(user_id, {})
        rows[row] = rows.get(row, 0) + sign
        if data.draw(st.booleans()):
            settle(table, at_end=False)
            written.update({change.user_id: change for change in states_to_write(table.relabel(made_up_labels(table)))})
    settle(table)
    written.update({change.user_id: change for change in states_to_write(table.relabel(made_up_labels(table)))})
    for user_id, rows in sums.items():
        change = written.get(user_id, UserState(user_id, None, -1, {}))
        known = dict(change.pending)
        if change.row is not None:
            assert rows[change.row] > 0
            known[change.row] = known.get(change.row, 0) + 1
        assert (change.row is None) == (max(rows.values()) <= 0)
        assert {row: count for row, count in known.items() if count} == {row: n for row, n in rows.items() if n}


@given(st.data())
def test_the_output_restores_the_table(data: st.DataObject) -> None:
    """From any step on, a table restored from the compacted output behaves as the one in memory."""
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


def test_only_rowless_users_are_deleted_and_only_the_given_ones() -> None:
    table = UserTable()
    for user_id in "xyz":
        add(table, user_id, A, 1)
    table.settle()
    for user_id in "yz":
        add(table, user_id, A, -1)
    table.settle()
    table.delete({"x", "y"})
    assert (shown(table), table.rowless) == ({"x": A, "z": A}, {"z"})


def test_a_change_is_written_once() -> None:
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


def test_the_labels_of_the_caller_stay_unchanged() -> None:
    table, labels = UserTable(), np.zeros(1, np.int32)
    for row in (A, B):
        table.replace("x", row)
        settle(table)
        assert states_to_write(table.relabel(labels)) == [UserState("x", row, 0, {})]
    assert labels.tolist() == [0]


@pytest.mark.parametrize(("row", "left"), [(B, {"x": B}), (None, {})])
def test_replace_removes_all_other_rows(row: Totals | None, left: oracle.Table) -> None:
    table = UserTable()
    add(table, "x", A, 2)
    settle(table)
    table.replace("x", row)
    settle(table)
    assert shown(table) == left
    assert all(change.pending == {} for change in states_to_write(table.relabel(np.zeros(len(table), np.int32))))


def test_a_rebuild_shows_users_until_the_end_and_deletes_those_without_input() -> None:
    table = UserTable()
    written = [
        UserState("x", A, 2, {B: -1}),
        UserState("y", B, 1, {}),
        UserState("z", None, -1, {C: -1}),
        UserState("w", None, -1, {}),
    ]
    table.load(by_column(written), confirmed=False)
    add(table, "x", A, 1)
    settle(table, at_end=False)
    assert shown(table) == {"x": A, "y": B}
    settle(table)
    assert shown(table) == {"x": A}
    changes = states_to_write(table.relabel(np.array([2], np.int32)))
    assert {change.user_id: change.row for change in changes if change.user_id != "x"} == {"y": None, "z": None}
    assert all(change.pending == {} for change in changes)


def test_users_are_duplicated_while_they_have_several_rows() -> None:
    table = UserTable()
    steps = [(A, 1, False), (A, 1, True), (A, -1, False), (B, 1, True), (B, -1, False), (B, 1, True), (A, -1, False)]
    for row, count, several in steps:
        add(table, "x", row, count)
        settle(table)
        assert (table.duplicated == {"x"}) is several


def test_duplicated_users_are_restored() -> None:
    table = UserTable()
    written = [
        UserState("x", A, 0, {}),
        UserState("y", A, 0, {B: 1}),
        UserState("z", A, 0, {B: -1}),
        UserState("w", A, 0, {A: -1}),
    ]
    table.load(by_column(written), confirmed=True)
    assert (table.duplicated, table.unordered, table.rows_of("y")) == ({"y"}, {"y"}, [B, A])
    table.mark_all_ordered()
    assert table.unordered == set()


def test_two_rows_between_two_ends_are_unordered() -> None:
    table = UserTable()
    add(table, "x", A, 1)
    settle(table)
    table.input_ended()
    add(table, "x", B, 1)
    settle(table)
    assert table.unordered == set(), "newer than the row that was there at the end"
    add(table, "x", C, 1)
    settle(table)
    assert table.unordered == {"x"}
    table.reorder({"x": [C, B]})
    assert (table.row("x"), table.rows_of("x"), table.unordered) == (B, [A, C, B], set())
    (change,) = table.relabel(np.zeros(1, np.int32))
    assert (change[1], list(change[3])) == (B, [A, C])


def test_a_row_that_is_added_again_is_newer_too() -> None:
    table = UserTable()
    add(table, "x", A, 1)
    settle(table)
    table.input_ended()
    for row in (B, A):
        add(table, "x", row, 1)
    settle(table)
    assert (table.row("x"), table.unordered) == (A, {"x"})


def test_a_changed_order_is_written() -> None:
    """Also that of pending rows."""
    table = UserTable()
    for row in (A, B, C):
        add(table, "x", row, 1)
    settle(table)
    table.relabel(np.zeros(1, np.int32))
    table.reorder({"x": [B, A, C]})
    (change,) = table.relabel(np.zeros(1, np.int32))
    assert (change[1], list(change[3])) == (C, [B, A])


@pytest.mark.parametrize(
    ("rows", "written"),
    [
        ([B, A], []),
        ([A], [UserState("x", A, 0, {})]),
        ([C, A], [UserState("x", A, 0, {C: 1})]),
        ([A, B], [UserState("x", B, 0, {A: 1})]),
    ],
)
def test_a_rebuild_writes_changed_pending_rows(rows: list[Totals], written: list[UserState]) -> None:
    """Also if the shown row stays the same: else the next start would restore the old pending rows."""
    table = UserTable()
    table.load(by_column([UserState("x", A, 0, {B: 1})]), confirmed=False)
    for row in rows:
        add(table, "x", row, 1)
    settle(table)
    assert states_to_write(table.relabel(np.zeros(1, np.int32))) == written
    assert states_to_write(table.relabel(np.zeros(1, np.int32))) == []


@pytest.mark.parametrize("count", [2**53, 2**53 + 1, 2**63 - 1])
def test_counts_beyond_the_precision_of_doubles_are_written_exactly(count: int) -> None:
    table = UserTable()
    add(table, "x", (0.1, count), 1)
    add(table, "y", A, 1)
    settle(table)
    assert [change.row for change in states_to_write(table.relabel(np.zeros(2, np.int32)))] == [(0.1, count), A]


def checksum(*rows: tuple[str, Totals], labels: list[int] | None = None) -> int:
    """The checksum of a table of these rows."""
    table = UserTable()
    table.add_all(list(rows), [1] * len(rows))
    table.settle()
    if labels is not None:
        table.relabel(np.array(labels, np.int32))
    return table.row_checksum()


def test_the_checksum_depends_on_rows_and_their_users() -> None:
    """Not on labels, nor on the order of arrival, nor on the sign of zero."""
    known = checksum(("x", A), ("y", B))
    assert checksum(("y", B), ("x", A), labels=[1, 0]) == known
    assert checksum(("x", B), ("y", A)) != known
    assert checksum(("x", A), ("y", C)) != known
    assert checksum(("x", (2.0, 1)), ("y", (4.0, 2))) != known, "all amounts doubled"
    assert checksum(("x", (-0.0, 1))) == checksum(("x", (0.0, 1)))
    assert checksum() == UserTable().row_checksum()


def test_a_restored_table_has_the_checksum_of_the_one_written() -> None:
    written = [UserState("x", A, 2, {B: -1}), UserState("y", B, 1, {}), UserState("z", None, -1, {C: -1})]
    table = UserTable()
    table.load(by_column(written), confirmed=True)
    assert table.row_checksum() == checksum(("x", A), ("y", B))
