"""When an upsert input was last caught up, and what follows if that is longer ago than its tombstones are kept."""

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from classifier.cells.intake import CellIntake
from classifier.errors import RestoreNeeded
from classifier.kafka.caught_up import MIN_RUNNING_SECONDS, CaughtUp
from classifier.kafka.source import Topic
from classifier.reports import Reports
from classifier.users.offset_metadata import marks_of
from tests.support.cell_world import CellWorld
from tests.support.fakes import FakeConsumer, FakeMessage
from tests.support.memory import KafkaInMemory
from tests.support.wire import AGGREGATE_SCHEMA, body, frame
from tests.support.world import ROWS, World, dies

DAY = 86_400.0
START = 1_764_580_000.0
LOST = "in was last read to its end 2.0 days ago, and compaction keeps deletions for 24.0 h (delete.retention.ms)"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock of this machine, which the test sets."""
    made = SimpleNamespace(now=START)
    monkeypatch.setattr("time.time", lambda: made.now)
    return made


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log, without what a normal run writes."""
    with caplog.at_level(logging.WARNING):
        yield caplog


def topic(seconds: float = DAY) -> Topic:
    """A topic that keeps tombstones that long."""
    return cast(Topic, SimpleNamespace(name="in", tombstone_seconds=lambda: seconds))


def caught_up(at: float | None = START, seconds: float = DAY) -> CaughtUp:
    """An input that is read on from where it was caught up at this time."""
    made = CaughtUp(topic(seconds))
    made.begin(at)
    return made


# CaughtUp


@pytest.mark.parametrize(
    ("at", "retention", "too_old"),
    [
        (START - DAY, DAY, False),
        (START - DAY - 1.0, DAY, True),
        (START + 60.0, DAY, False),  # the clock of another machine
        (START + DAY + 1.0, DAY, True),  # a clock that was wrong, then or now
        (START - DAY, float("inf"), False),
        (None, DAY, False),
        (None, 0.0, False),
    ],
)
@pytest.mark.usefixtures("clock")
def test_too_old(at: float | None, retention: float, too_old: bool) -> None:
    assert caught_up(at, retention).is_too_old is too_old


def test_an_input_without_tombstones(clock: SimpleNamespace) -> None:
    made = CaughtUp(topic(), has_tombstones=False)
    made.begin_full_read()
    made.note(START)
    clock.now += 9 * DAY
    made.note(clock.now)
    assert (made.at, made.is_too_old) == (None, False)


def test_ends_less_than_that_apart(clock: SimpleNamespace) -> None:
    made = caught_up(None)
    for _ in range(3):
        clock.now += DAY - 1.0
        made.note(clock.now - 1.0)
        assert made.at == clock.now - 1.0


def test_ends_further_apart(clock: SimpleNamespace) -> None:
    made = caught_up()
    clock.now += 2 * DAY
    with pytest.raises(RestoreNeeded) as caught:
        made.note(clock.now)
    assert str(caught.value) == f"{LOST}, so some may be lost"
    assert made.at == START, "the restore finds the same in the mark"


def test_a_stop_request_leaves_it_to_the_next_start(clock: SimpleNamespace) -> None:
    made = caught_up()
    clock.now += 2 * DAY
    made.note(clock.now, stopping=True)
    assert (made.at, made.is_too_old) == (START, True)


def test_an_end_that_no_leader_confirms_for_long(clock: SimpleNamespace) -> None:
    """The same time again is no news."""
    made = caught_up()
    made.note(START)
    clock.now += 2 * DAY
    made.note(START)


def test_a_long_read_from_the_beginning(clock: SimpleNamespace, log: pytest.LogCaptureFixture) -> None:
    """Another one would take as long."""
    made = CaughtUp(topic())
    made.begin_full_read()
    clock.now += 2 * DAY
    made.note(clock.now)
    advice = "so some may be lost; to find them, raise delete.retention.ms and run with --rebuild"
    assert log.messages == [f"{LOST}, {advice}"]
    clock.now += 2 * DAY
    with pytest.raises(RestoreNeeded):
        made.note(clock.now)


def test_a_running_client_of_a_topic_that_keeps_no_tombstones(clock: SimpleNamespace) -> None:
    """It is not restored at each end."""
    made = caught_up(seconds=0.0)
    clock.now += MIN_RUNNING_SECONDS
    made.note(clock.now)
    assert made.at == clock.now


# Runs

POLICIES = {"in": {"cleanup.policy": "delete"}, "out": {"cleanup.policy": "compact"}}


class Upserts(World):
    """A world with an upsert input."""

    def __init__(self, **given: object) -> None:
        super().__init__(1, changelog_mode="upsert", **given)
        for row in ROWS:
            self.broker.append("in", 0, frame(1, body(AGGREGATE_SCHEMA, row._asdict())), [], row.user_id.encode())

    def lose(self, number: int) -> None:
        """Compact a user's tombstone away, with all records before; another user's record stands in its place."""
        log = self.broker.logs["in"][0]
        other = log[0]
        log[number] = FakeMessage(("in", 0, number), other.value(), [], other.key())

    @property
    def caught_up_at(self) -> int | None:
        """The time in the last mark."""
        (mark,) = marks_of(self.broker.offsets.values())
        return mark.caught_up_at


def test_each_end_is_noted(clock: SimpleNamespace) -> None:
    world = Upserts()
    for _ in range(2):
        clock.now += 1000.7
        assert world.run() is None
        assert world.caught_up_at == int(clock.now)


def test_a_commit_of_a_part_of_the_input_is_no_end(clock: SimpleNamespace) -> None:
    """What is behind the committed offset is older."""

    class Slow(Reports):
        def step(self, step: Any) -> None:
            clock.now += 1000.0

    world = Upserts(batch_size=1)
    assert world.run({"commit_transaction": [None, None, None, dies]}, Slow()) is not None
    assert [at.offset for at in world.broker.offsets.values()] == [3]
    assert (world.caught_up_at, clock.now) == (START, START + 3000.0)


def test_a_retract_changelog_has_no_tombstones(clock: SimpleNamespace) -> None:
    world = World()
    assert world.run() is None
    assert "caught_up" not in str(world.broker.history[-1].metadata)
    clock.now += 9 * DAY
    assert world.run() is None


@pytest.mark.parametrize("batch_size", [None, 1])
def test_a_lost_tombstone_is_found(
    clock: SimpleNamespace, log: pytest.LogCaptureFixture, batch_size: int | None
) -> None:
    world = Upserts(batch_size=batch_size)
    assert world.run() is None
    world.lose(3)
    clock.now += DAY
    assert world.run() is None
    assert len(world.labelling()) == len(ROWS)
    clock.now += 2 * DAY
    assert world.run() is None
    assert world.labelling().keys() == {row.user_id for row in ROWS} - {ROWS[3].user_id}
    assert log.messages == [f"{LOST}, so some may be lost; reading it from its beginning to find them"]
    assert world.caught_up_at == clock.now


def test_a_running_client_that_was_suspended(clock: SimpleNamespace, log: pytest.LogCaptureFixture) -> None:
    class Suspended(Reports):
        steps = 0

        def step(self, step: Any) -> None:
            self.steps += 1
            if self.steps == 1:
                clock.now += 2 * DAY
                world.lose(3)

    world = Upserts()
    assert world.run(report=Suspended()) is None
    assert world.labelling().keys() == {row.user_id for row in ROWS} - {ROWS[3].user_id}
    assert log.messages == [
        f"{LOST}, so some may be lost; restoring from out",
        f"{LOST}, so some may be lost; reading it from its beginning to find them",
    ]


def test_an_input_that_does_not_hold_all_users(clock: SimpleNamespace) -> None:
    world = Upserts()
    assert world.run() is None
    world.broker.beginnings = {("in", 0): 2}
    clock.now += 2 * DAY
    assert str(getattr(world.run(), "reason", None)) == (
        f"{LOST}, so some may be lost, and it cannot show which: retention has deleted the records of other users"
        " (in [0] begins at 2); to start over: run again with --rebuild"
    )


def test_labels_that_did_not_begin_with_the_first_record(clock: SimpleNamespace) -> None:
    world = Upserts(consumer={"bootstrap.servers": "host:9092", "auto.offset.reset": "latest"})
    assert world.run() is None
    clock.now += 2 * DAY
    assert str(getattr(world.run(), "reason", None)) == (
        f"{LOST}, so some may be lost, and it cannot show which: auto.offset.reset is latest, so the labels did not"
        " begin with its first record; to start over: run again with --rebuild"
    )


def test_a_topic_whose_configuration_is_hidden(
    clock: SimpleNamespace, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not compacted loses no tombstone before the records that it deletes; it is not refused."""
    monkeypatch.setattr(KafkaInMemory, "topic_config", lambda self, name: {})
    world = Upserts()
    assert world.run() is None
    world.broker.beginnings = {("in", 0): 2}
    clock.now += 2 * DAY
    assert world.run() is None
    assert log.messages == [
        f"{LOST}, so some may be lost, if the topic is compacted: to find out, the client needs the permission"
        " DescribeConfigs on the topic"
    ]
    assert world.caught_up_at == clock.now


def test_a_topic_that_is_not_compacted(
    clock: SimpleNamespace, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KafkaInMemory, "topic_config", lambda self, name: POLICIES[name])
    world = Upserts()
    assert world.run() is None
    world.broker.beginnings = {("in", 0): 2}
    clock.now += 9 * DAY
    assert world.run() is None
    assert log.messages == []


def test_cells_are_read_again(clock: SimpleNamespace) -> None:
    """A tombstone tells that a cell has no users any more; a restore reads all counts."""
    world = CellWorld()
    world.write({0: 1})
    consumer = FakeConsumer(world.broker, seed=1)
    kafka = KafkaInMemory(world.settings, world.stop, consumer, cast(Any, None))
    intake = CellIntake(world.settings, kafka, world.registry, kafka.consumer(), world.stop, Reports())
    intake.restore()
    assert intake.confirm_end()
    clock.now += 2 * DAY
    with pytest.raises(RestoreNeeded, match=r"in was last read to its end 2\.0 days ago"):
        intake.confirm_end()
    intake.restore()
    assert intake.confirm_end()


def test_a_quiet_client_commits_the_time_before_a_restart_would_find_it_too_old(clock: SimpleNamespace) -> None:
    made = caught_up()
    seen = list[bool]()
    for seconds in (DAY / 4, 1.0):
        clock.now += seconds
        made.note(clock.now)
        seen.append(made.to_commit)
    made.committed()
    assert [*seen, made.to_commit] == [False, True, False]
