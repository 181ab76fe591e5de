"""A changelog that is written twice: the newest row of a user is current, in whatever order rows are read."""

import itertools
import random
import zlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from confluent_kafka import KafkaError, TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier import __version__
from classifier.config.settings import Settings
from classifier.reports.step import Step
from classifier.users.duplicate_rows import DuplicateRows
from classifier.users.intake import UserIntake
from classifier.users.offset_metadata import n_duplicated_before
from classifier.users.table import UserTable
from tests.support.changelog import Aggregate, Change, Op, Placed, Row
from tests.support.fakes import FakeMessage
from tests.support.marks import without_row_parts
from tests.support.strategies import cuts
from tests.support.world import BASE, World, aborts, accidents, dies

USERS = ("ann", "bob", "cem", "dan")
N_PARTITIONS = 3


class Written(NamedTuple):
    """A change with the timestamp of its record."""

    placed: Placed
    time: int


def placed(change: Change) -> Placed:
    """Partitioned by the whole row, as Flink does: a row and its retraction are in one partition."""
    return Placed(zlib.crc32(repr(tuple(change.row)).encode()) % N_PARTITIONS, change)


@st.composite
def changelogs(draw: st.DrawFn) -> list[Change]:
    """Changelogs of a few statements one after the other, each from the first transaction on; a writer may repeat."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    spent = [(rng.choice(USERS), float(rng.randint(0, 3))) for _ in range(draw(st.integers(1, 12)))]
    changes: list[Change] = []
    for _ in range(draw(st.integers(1, 3))):
        statement = Aggregate()
        for user_id, amount in spent[: rng.randint(0, len(spent))]:
            statement.spend(user_id, amount)
        changes += statement.changes
        again = rng.choice([0, 0, rng.randint(0, len(statement.changes))])
        changes += statement.changes[len(statement.changes) - again :]
    return changes


def newest_rows(written: Iterable[Written]) -> dict[str, tuple[float, int]]:
    """By the definition: a row is a stack of records; a retraction removes the newest, or one that is still to come."""
    stacks: dict[Row, list[tuple[int, int, int]]] = {}
    unmatched, lengths = Counter[Row](), [0] * N_PARTITIONS
    for (partition, (op, row)), time in written:
        stack = stacks.setdefault(row, [])
        if op.sign > 0:
            stack.append((time, partition, lengths[partition]))
        elif stack:
            stack.pop()
        else:
            unmatched[row] += 1
        lengths[partition] += 1
    present = sorted((stack[-1], row) for row, stack in stacks.items() if len(stack) > unmatched[row])
    return {row.user_id: (row.total_amount, row.num_transactions) for _, row in present}


def rows(world: World) -> dict[str, tuple[float, int]]:
    """The rows in the output."""
    return {user_id: (row.total_amount, row.num_transactions) for user_id, row in world.labelling().items()}


@settings(max_examples=60)
@given(st.data())
def test_the_newest_row_is_current_in_any_batches_in_any_order_and_after_any_restart(data: st.DataObject) -> None:
    """Records after an end of the input are newer than those before it; within a piece, timestamps may be equal."""
    changes = data.draw(changelogs())
    ends = [*data.draw(cuts(len(changes), max_cuts=3)), len(changes)]
    world, written, start, time = World(partitions=N_PARTITIONS), list[Written](), 0, 0
    for end in ends:
        time += 1
        piece = []
        for change in changes[start:end]:
            time += data.draw(st.integers(0, 1))
            piece.append(Written(placed(change), time))
        world.write([each.placed for each in piece], [each.time for each in piece])
        written, start = written + piece, end
        batch_size = data.draw(st.sampled_from([1, 3, 20, None]))
        world.settings = Settings(**{**vars(BASE), "batch_size": batch_size})
        world.run(data.draw(accidents(world)))
    world.settings = BASE
    while world.run() or world.stop.requested:
        pass
    assert rows(world) == newest_rows(written)
    world.settings = Settings(**{**vars(BASE), "batch_size": data.draw(st.sampled_from([1, 3, None])), "rebuild": True})
    world.run()
    assert rows(world) == newest_rows(written), "after a rebuild"


A, B, C, D = (Row("ann", 10.0 * n, n) for n in range(1, 5))
REST = [Row("bob", 100.0, 1), Row("cem", 200.0, 1), Row("dan", 300.0, 1)]


def inserts(*added: Row, partition: int = 0) -> list[Placed]:
    """Rows that are never retracted."""
    return [Placed(partition, Change(Op.INSERT, row)) for row in added]


def retraction(row: Row, partition: int = 0) -> Placed:
    """The retraction of a row."""
    return Placed(partition, Change(Op.DELETE, row))


def ann(world: World) -> float:
    """The total_amount of ann after a run to the end."""
    assert world.run() is None
    return rows(world)["ann"][0]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings in the log."""
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def since(world: World) -> set[str]:
    """The last fields of the marks of the last step."""
    return {
        without_row_parts(each.metadata).partition(f" partitions=2 by={__version__}")[2]
        for each in world.broker.offsets.values()
    }


def with_two_rows(**given: object) -> World:
    """A world with two rows of ann, which may be read in either order."""
    world = World(partitions=2, **given)
    world.write([*inserts(*REST, B), *inserts(A, partition=1)], [1, 1, 1, 9, 7])
    return world


class Steps:
    """A report that keeps the steps."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Ignored."""

    def restored(self, *, complete: bool) -> None:
        """Ignored."""

    def bad(self, n_records: int) -> None:
        """Ignored."""

    def step(self, step: Step) -> None:
        self.steps.append(step)


WARNING = (
    "in: 1 user (ann for example) has more than one row, of which the newest counts; the others were never retracted,"
    " e.g. because a statement was deleted and created again, or a writer repeats changes; to fix it: recreate in and"
    " the statements that write it, then run with --rebuild"
)


@pytest.mark.parametrize("seed", range(8))
def test_a_fresh_start_and_a_rebuild_take_the_newest(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    world = with_two_rows()
    world.seeds = itertools.count(seed)
    assert ann(world) == B.total_amount
    assert warnings(caplog) == [WARNING]
    world.settings = Settings(**{**vars(BASE), "rebuild": True})
    assert ann(world) == B.total_amount
    assert since(world) == {" several=1"}


@pytest.mark.parametrize(("time", "partition"), [(8, 0), (8, 1), (9, 0), (9, 1)])
def test_of_equal_timestamps_the_higher_partition_and_offset_is_newer(time: int, partition: int) -> None:
    world = World(partitions=2)
    world.write([*inserts(*REST, A), *inserts(B, partition=partition)], [1, 1, 1, 8, time])
    assert ann(world) == B.total_amount


def test_within_one_millisecond_a_retracted_row_is_not_the_newest() -> None:
    """A recreated statement writes the row that the old one left, and immediately updates it."""
    for partition in (0, 1):
        world = World(partitions=2)
        other = 1 - partition
        again = [*inserts(A, partition=other), retraction(A, other), *inserts(B, partition=partition)]
        world.write([*inserts(*REST), *inserts(A, partition=other), *again], [1, 1, 1, 2, 5, 5, 5])
        assert ann(world) == B.total_amount


def test_records_after_an_end_are_newer_and_nothing_is_read_again() -> None:
    world = with_two_rows()
    assert ann(world) == B.total_amount
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UserIntake, "_read_again", lambda *_: pytest.fail("read again"))
        world.write([retraction(B), *inserts(C, partition=1)], [10, 10])
        assert ann(world) == C.total_amount
    assert since(world) == {" several=1"}


def test_a_retraction_makes_the_row_before_current_over_restarts() -> None:
    world = World(partitions=2)
    world.write([*inserts(*REST, C, A), *inserts(D, B, partition=1)], [1, 1, 1, 4, 2, 5, 3])
    for row in (D, C, B, A):
        assert ann(world) == row.total_amount
        world.write([retraction(row, partition=int(row in (B, D)))], [6])
    assert since(world) == {""}, "one row is left"


def test_a_row_that_is_added_again_is_the_newest() -> None:
    """Though addition and retraction cancel in the batch."""
    world = World()
    world.write(inserts(*REST, A), [1, 1, 1, 2])
    assert ann(world) == A.total_amount
    world.write([retraction(A), *inserts(B, A)], [3, 4, 5])
    assert ann(world) == A.total_amount


def test_a_row_that_was_added_twice_is_warned_of_too(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.write(inserts(*REST, A, A), range(5))
    assert ann(world) == A.total_amount
    assert warnings(caplog) == [WARNING]
    world.write([retraction(A), *inserts(B)], [6, 7])
    assert ann(world) == B.total_amount


def test_a_user_with_two_rows_at_one_end_only_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Of one transaction, one partition can be read a moment before the other."""
    world = World(partitions=2)
    world.write(inserts(*REST, A))
    world.run()
    world.write(inserts(B, partition=1))
    assert world.run({"commit_transaction": [lambda: world.write([retraction(A)])]}) is None
    assert (rows(world)["ann"][0], warnings(caplog), since(world)) == (B.total_amount, [], {""})


def test_the_warning_is_logged_once_and_users_are_counted_in_every_step(caplog: pytest.LogCaptureFixture) -> None:
    world, report = with_two_rows(), Steps()
    world.run(report=report)
    world.write(inserts(C, Row("bob", 1.0, 2)), [20, 21])
    world.run({"commit_transaction": [aborts]}, report=report)
    assert [step.n_several for step in report.steps] == [0, 1, 1, 2]
    assert warnings(caplog) == [WARNING, WARNING, "transaction aborted (made up); restoring from out"], "once a run"


def test_the_rows_of_an_older_version_are_taken_as_ordered() -> None:
    """It wrote them in the order in which it read them."""
    world = with_two_rows()
    assert ann(world) == B.total_amount
    world.broker.commit(
        TopicPartition(each.topic, each.partition, each.offset, "user_classifier/1 users=4 partitions=2")
        for each in list(world.broker.offsets.values())
    )
    world.write([retraction(B)], [10])
    assert ann(world) == A.total_amount


@pytest.mark.parametrize("option", ["dry_run", "explore_k"])
def test_a_preview_uses_the_newest_row_and_warns(option: str, caplog: pytest.LogCaptureFixture) -> None:
    world = with_two_rows(**{option: True})
    assert world.run() is None
    assert warnings(caplog) == [WARNING]


def test_a_stop_commits_what_was_read_and_leaves_it_to_the_next_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the input again may take long."""
    world = with_two_rows()
    input_ended = DuplicateRows.input_ended

    def stopped(rows: DuplicateRows, table: UserTable, *, last: bool) -> bool:
        world.stop.requested = found = input_ended(rows, table, last=last)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(DuplicateRows, "input_ended", stopped)
        assert world.run() is None
    assert (len(world.offsets()[0]), since(world)) == (2, {" several=1 since=0"})
    assert ann(world) == B.total_amount


def test_a_stop_while_the_input_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = with_two_rows()
    ordered = UserIntake._reorder_rows

    def stopped(intake: UserIntake) -> None:
        world.stop.requested = True
        ordered(intake)

    with monkeypatch.context() as patch:
        patch.setattr(UserIntake, "_reorder_rows", stopped)
        world.run()
    assert since(world) == {" since=0"}
    assert ann(world) == B.total_amount


def test_a_stop_after_the_input_was_read_again_leaves_no_deletion_due() -> None:
    """The partitions have not reported their ends since, but they were at them."""
    world = with_two_rows(until_end=False)

    def leaves() -> None:
        world.write([retraction(REST[2])], [10])

    def stops() -> None:
        world.stop.requested = True

    assert world.run({"commit_transaction": [leaves, stops]}) is None
    assert rows(world) == {row.user_id: tuple(row[1:]) for row in (*REST[:2], B)}


def test_an_end_after_the_last_step_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records after it are newer, and nothing is read again."""
    world = World(partitions=2, batch_size=4, until_end=False)
    world.write(inserts(*REST, A), range(4))
    input_ended = UserIntake.input_ended

    def continuing(intake: UserIntake) -> None:
        input_ended(intake)
        if intake.table.row("ann") == A[1:]:
            if len(world.broker.logs["in"][1]) == 0:
                world.write(inserts(B, partition=1), [9])
        else:
            world.stop.requested = not intake.needs_another_end

    monkeypatch.setattr(UserIntake, "input_ended", continuing)
    monkeypatch.setattr(UserIntake, "_read_again", lambda *_: pytest.fail("read again"))
    assert world.run() is None
    assert (rows(world)["ann"], since(world)) == (B[1:], {" several=1"})


def test_the_number_of_users_is_known_before_the_first_end() -> None:
    world, report = with_two_rows(), Steps()
    world.run()
    world.write([retraction(B), *inserts(C), *inserts(D)], [10, 11, 12])
    world.settings = Settings(**{**vars(BASE), "batch_size": 1})
    world.run(report=report)
    assert {step.n_several for step in report.steps} == {1}


def test_an_input_whose_first_records_were_deleted_meanwhile() -> None:
    """Deleted records are older than the others."""
    world = with_two_rows()
    world.run({"commit_transaction": [None, dies]})
    out_of_range = KafkaError(KafkaError._AUTO_OFFSET_RESET, "out of range")
    world.broker.logs["in"][1][0] = FakeMessage(("in", 1, 0), error=out_of_range)
    world.broker.beginnings["in", 1] = 1
    assert ann(world) == B.total_amount


@pytest.mark.parametrize(
    ("marks", "n_users"),
    [
        ([], None),
        (["", "another program's several=7"], None),
        (["user_classifier/1 users=3", "user_classifier/1 users=3 k=4"], 0),
        (["user_classifier/1 users=3 k=4 several=2 since=5", "user_classifier/1 users=3 k=4 several=2"], 2),
    ],
)
def test_the_number_of_users_in_the_marks(marks: list[str], n_users: int | None) -> None:
    assert n_duplicated_before(TopicPartition("in", at, 7, mark) for at, mark in enumerate(marks)) == n_users
