"""The whole run loop on Kafka in memory: whatever happens, the output ends as the oracle expects."""

import itertools

import pytest
from confluent_kafka import KafkaError
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier import __version__
from classifier.config.settings import Settings
from classifier.errors import KafkaFailed, ProducerFenced, TransactionAborted
from classifier.loop.aborts import MAX_ABORTS, Aborts
from classifier.stop import NOT_COMMITTED, StopRequest
from tests.support import oracle
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.fakes import Accident, FakeConsumer, FakeMessage, failure
from tests.support.marks import without_row_parts
from tests.support.strategies import changelogs, cuts, placements
from tests.support.world import BASE, INSERTS, NO_TIME, ROWS, World, aborts, accidents, dies, smallest_parts


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the pauses before each restore, in multiples of RETRY_SECONDS."""
    found: list[int] = []
    pause = Aborts.pause

    def measured(aborts: Aborts) -> None:
        slept: list[None] = []
        monkeypatch.setattr("classifier.loop.aborts.pause", lambda: slept.append(None))
        pause(aborts)
        found.append(len(slept))

    monkeypatch.setattr(Aborts, "pause", measured)
    return found


def refuses() -> None:
    """The broker refuses the offsets, which aborts the transaction."""
    raise failure(KafkaError.UNKNOWN_MEMBER_ID, abort=True)


@pytest.mark.parametrize("producer", [{}, NO_TIME], ids=["whole", "in parts"])
@settings(max_examples=60)
@given(st.data())
def test_after_any_accidents_the_output_is_as_the_oracle_expects(producer: dict[str, str], data: st.DataObject) -> None:
    """Any changelog in any partitions, in pieces; stops, crashes, aborts and retriable errors anywhere."""
    with smallest_parts():
        check_after_accidents(producer, data)


def check_after_accidents(producer: dict[str, str], data: st.DataObject) -> None:
    """The test above. In parts, each record is a transaction and each row a step."""
    changes = data.draw(changelogs(max_steps=30))
    placed = data.draw(placements(changes, max_partitions=4))
    world = World(partitions=4, batch_size=data.draw(st.sampled_from([1, 3, 20, None])), producer=producer)
    ends = [*data.draw(cuts(len(placed), max_cuts=3)), len(placed)]
    for start, end in itertools.pairwise([0, *ends]):
        world.write(placed[start:end])
        world.run(data.draw(accidents(world)))
    while world.run() or world.stop.requested:
        pass
    assert world.labelling() == oracle.labelled(changes)
    assert world.pending() == oracle.pending(changes)
    for offsets in world.offsets().values():
        assert offsets == sorted(offsets)
    ends_now = {partition: len(log) for partition, log in enumerate(world.broker.logs["in"])}
    assert {partition: offsets[-1] for partition, offsets in world.offsets().items()} == ends_now


def test_one_run_is_one_step() -> None:
    world = World()
    world.write(INSERTS)
    assert world.run() is None
    assert len(world.broker.history) == 1
    mark = without_row_parts(world.broker.history[0].metadata)
    assert mark == f"user_classifier/1 users=6 partitions=2 by={__version__}"
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS)


def test_a_batch_size_of_one_is_a_step_for_each_record() -> None:
    world = World(batch_size=1)
    world.write(INSERTS)
    world.run()
    assert [each.offset for each in world.broker.history] == [1, 2, 3, 4, 5, 6]


def test_until_end_includes_the_last_step() -> None:
    """The end is reached long before the interval has passed."""
    world = World(batch_size=4, batch_interval=100.0)
    world.write(INSERTS)
    assert world.run() is None
    assert world.offsets() == {0: [4, 6]}


@pytest.mark.parametrize("batch_size", [1, 3, 6])
def test_until_end_leaves_no_deletion_due(batch_size: int) -> None:
    """The last step runs before the end, and the end follows immediately."""
    world = World(batch_size=batch_size)
    rows = [Row(name, 10.0, 1) for name in "abcde"]
    deletion = Placed(0, Change(Op.DELETE, rows[0]))
    world.write([*(Placed(0, Change(Op.INSERT, row)) for row in rows), deletion])
    assert world.run(tick=0.001) is None
    assert (set(world.labelling()), world.pending()) == (set("bcde"), {})


def updates(*rows: Row) -> list[Change]:
    """From each row to the next."""
    pairs = itertools.pairwise(rows)
    return [change for old, new in pairs for change in (Change(Op.UPDATE_BEFORE, old), Change(Op.UPDATE_AFTER, new))]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_user_whose_new_row_is_not_readable_yet_keeps_the_old_one(restarted: bool) -> None:
    """Of one transaction, one partition can be read a moment before the other."""
    world = World(partitions=2)
    changes = updates(ROWS[0], ROWS[0]._replace(total_amount=70.0))
    world.write(INSERTS)
    world.run()
    world.write([Placed(0, changes[0])])
    if restarted:
        assert world.run({"begin_transaction": [None, dies]})
    assert world.run({"commit_transaction": [lambda: world.write([Placed(1, changes[1])])]}) is None
    assert world.labelling() == oracle.labelled([*(change for _, change in INSERTS), *changes])
    assert world.tombstones() == 0


def test_a_user_who_had_a_row_between_two_ends_stays() -> None:
    """Rowless at both of them, but not in between."""
    world = World(partitions=2, batch_size=1)
    world.write(INSERTS)
    world.run()
    changes = updates(*(ROWS[0]._replace(total_amount=amount) for amount in (10.0, 70.0, 80.0)))
    world.write([Placed(0, changes[0])])
    accidents: list[Accident | None] = [
        None,  # after the record
        lambda: world.write([Placed(0, change) for change in changes[1:3]]),  # at the first end
        None,
        None,
        lambda: world.write([Placed(1, changes[3])]),  # at the second one
    ]
    assert world.run({"commit_transaction": accidents}) is None
    assert accidents == []
    assert world.labelling() == oracle.labelled([*(change for _, change in INSERTS), *changes])
    assert world.tombstones() == 0


def test_a_stop_commits_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(until_end=False)
    world.write(INSERTS)
    consume = FakeConsumer.consume

    def stopping(consumer: FakeConsumer, limit: int, timeout: float) -> list[FakeMessage]:
        messages = consume(consumer, 2, timeout)
        world.stop.requested = any(message.value() for message in messages)
        return messages

    monkeypatch.setattr(FakeConsumer, "consume", stopping)
    assert world.run() is None
    ((read,),) = world.offsets().values()
    assert 1 <= read <= 2
    assert set(world.labelling()) == {row.user_id for row in ROWS[:read]}


def test_a_stop_leaves_no_deletion_due() -> None:
    """Stopped between the first end and the second."""
    world = World()
    world.write(INSERTS)
    world.run()
    world.write([Placed(0, Change(Op.DELETE, ROWS[0]))])
    world.settings = Settings(**{**vars(BASE), "until_end": False})

    def stops() -> None:
        world.stop.requested = True

    assert world.run({"commit_transaction": [stops]}) is None
    assert (set(world.labelling()), world.pending()) == ({row.user_id for row in ROWS[1:]}, {})


def test_the_offsets_of_an_empty_input_are_committed_once() -> None:
    world = World(partitions=2)
    assert world.run() is None
    assert {(each.partition, each.offset, without_row_parts(each.metadata)) for each in world.broker.history} == {
        (partition, 0, f"user_classifier/1 users=0 partitions=2 by={__version__}") for partition in range(2)
    }


def test_a_fenced_client_stops() -> None:
    world = World()
    world.write(INSERTS)
    fenced = failure(KafkaError._FENCED, fatal=True)

    def fence() -> None:
        raise fenced

    ended = world.run({"commit_transaction": [fence]})
    assert isinstance(ended and ended.reason, ProducerFenced)
    assert world.labelling() == {}


def test_an_abort_is_logged_and_the_step_repeated(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.write(INSERTS)
    assert world.run({"commit_transaction": [aborts, aborts]}) is None
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["transaction aborted (made up); restoring from out"] * 2
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS)


@pytest.mark.parametrize("until_end", [True, False])
def test_aborts_of_an_unknown_cause_end_the_client(until_end: bool, pauses: list[int]) -> None:
    """After MAX_ABORTS in a row; the pauses between them grow."""
    world = World(until_end=until_end)
    world.write(INSERTS)
    queue: list[Accident | None] = [refuses] * (2 * MAX_ABORTS)
    ended = world.run({"send_offsets_to_transaction": queue})
    assert isinstance(ended and ended.reason, KafkaFailed)
    assert str(ended and ended.reason) == (
        "transaction aborted (made up), 10 times without a commit; fix the cause and start again"
    )
    assert len(queue) == MAX_ABORTS
    assert pauses == [0, 1, 2, 4, 8, 16, 32, 32, 32]
    assert world.labelling() == {}


def test_aborts_that_pass_do_not_end_the_client(pauses: list[int]) -> None:
    world = World()
    world.write(INSERTS)
    assert world.run({"commit_transaction": [aborts] * (2 * MAX_ABORTS)}) is None
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS)
    assert max(pauses) == 32


def test_a_commit_resets_the_count_of_aborts(pauses: list[int]) -> None:
    world = World(batch_size=1)
    world.write(INSERTS)
    few: list[Accident | None] = [refuses] * (MAX_ABORTS - 1)
    assert world.run({"send_offsets_to_transaction": [*few, None, *few]}) is None
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS)
    assert pauses == [0, 1, 2, 4, 8, 16, 32, 32, 32] * 2


def test_a_stop_request_ends_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = StopRequest()
    slept: list[None] = []

    def sleep() -> None:
        slept.append(None)
        stop.requested = True

    monkeypatch.setattr("classifier.loop.aborts.pause", sleep)
    found = Aborts(stop)
    for _ in range(5):
        found.note(TransactionAborted("made up"), 0)
    found.pause()
    assert len(slept) == 1


def test_a_stop_during_an_abort_ends_with_the_abort() -> None:
    """Nothing is restored, and the step is not committed."""
    world = World()
    world.write(INSERTS)

    def stopped() -> None:
        world.stop.requested = True
        aborts()

    ended = world.run({"commit_transaction": [stopped]})
    assert isinstance(ended and ended.reason, TransactionAborted)
    assert world.stop.last_step == NOT_COMMITTED
