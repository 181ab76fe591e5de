"""Lost records: the log was truncated and has grown again, or the output holds older rows than the offsets."""

from types import SimpleNamespace
from typing import cast

import pytest

from classifier.config.settings import Settings
from classifier.kafka.record import LogPoint
from classifier.kafka.source import Topic
from classifier.users.truncation import is_lost
from tests.support import oracle
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.fakes import FakeMessage
from tests.support.world import BASE, INSERTS, World

LAST_READ = LogPoint(5, 3)
COMMITTED = 7  # offset 6 was a transaction marker


@pytest.mark.parametrize(
    ("offset", "leader_epoch", "is_compacted", "lost"),
    [
        (5, 3, False, False),
        (5, 4, False, True),
        (5, None, False, True),
        (6, 4, False, True),  # a record where there was none
        (6, 4, True, True),
        (7, 3, True, False),  # the last record read was compacted away
        (7, 3, False, True),
        (None, None, True, False),
        (None, None, False, True),
    ],
)
def test_the_first_record_from_the_last_one_read_on(
    offset: int | None, leader_epoch: int | None, is_compacted: bool, lost: bool
) -> None:
    found = None if offset is None else FakeMessage(("t", 0, offset), b"x", leader_epoch=leader_epoch)
    topic = cast(Topic, SimpleNamespace(is_compacted=lambda: is_compacted))
    assert is_lost(LAST_READ, found, COMMITTED, topic) is lost


def started(world: World) -> str:
    """Start again; return why that failed, or nothing."""
    ended = world.run()
    return "" if ended is None else str(ended.reason)


def labelled_world(**given: object) -> World:
    """A world whose input was labelled: three users in each of two partitions."""
    world = World(partitions=2, **given)
    world.write([Placed(number % 2, change) for number, (_, change) in enumerate(INSERTS)])
    assert started(world) == ""
    return world


def inserts(partition: int, n_users: int) -> list[Placed]:
    """Other users."""
    return [Placed(partition, Change(Op.INSERT, Row(f"new {number}", 5.0, 1))) for number in range(n_users)]


@pytest.mark.parametrize("n_records", [2, 9])
def test_an_input_that_was_truncated_and_has_grown_is_refused(n_records: int) -> None:
    """As far as before, or further."""
    world = labelled_world()
    del world.broker.logs["in"][1][1:]
    world.broker.leader_epoch = 1
    world.write(inserts(1, n_records))
    assert started(world).startswith("in [1] lost its records from offset 1 on, which were read before (")
    world.settings = Settings(**{**vars(BASE), "rebuild": True})
    assert started(world) == ""
    left = [change for number, (_, change) in enumerate(INSERTS) if number in (0, 1, 2, 4)]
    assert world.labelling() == oracle.labelled([*left, *(change for _, change in inserts(1, n_records))])


def test_a_new_leader_is_no_loss() -> None:
    world = labelled_world()
    world.broker.leader_epoch = 1
    world.write(inserts(1, 4))
    assert [started(world), started(world)] == ["", ""]


def test_a_record_of_the_last_step_before_a_quiet_one_is_noted() -> None:
    """A partition without records in a step keeps its last record in the mark."""
    world = labelled_world()
    world.write(inserts(0, 2))
    assert started(world) == ""
    noted = {at.partition: str(at.metadata) for at in world.broker.offsets.values()}
    assert " last=4.0 " in noted[0]
    assert " last=2.0 " in noted[1]


def test_retention_of_the_last_record_read_is_no_loss() -> None:
    world = labelled_world()
    world.broker.beginnings = {("in", 0): 3, ("in", 1): 3}
    for partition, log in enumerate(world.broker.logs["in"]):  # a start that read a deleted record would refuse it
        log[2] = FakeMessage(("in", partition, 2), b"deleted", leader_epoch=9)
    assert started(world) == ""


def test_an_output_that_lost_its_last_rows_is_refused() -> None:
    world = labelled_world()
    lengths = [len(log) for log in world.broker.logs["out"]]
    (_, (_, row)) = INSERTS[0]
    newer = row._replace(total_amount=row.total_amount + 1.0)
    world.write([Placed(0, Change(Op.UPDATE_BEFORE, row)), Placed(0, Change(Op.UPDATE_AFTER, newer))])
    assert started(world) == ""
    for log, length in zip(world.broker.logs["out"], lengths, strict=True):
        del log[length:]
    assert started(world) == (
        "out does not hold the rows that belong to the committed offsets: it lost its last records (unclean leader"
        " election, or lost disk of a broker); to start over: run again with --rebuild"
    )
