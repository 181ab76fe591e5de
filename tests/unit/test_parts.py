"""Large steps: their transactions, and a crash or an abort in each of them."""

import gc
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from classifier import __version__
from classifier.config.settings import Settings
from classifier.errors import StateError
from classifier.users.table import UserChanges, UserTable
from tests.support import oracle
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.fakes import Accident, failure
from tests.support.marks import without_row_parts
from tests.support.world import INSERTS, METHODS, NO_TIME, ROWS, World, aborts, dies, grouped, smallest_parts

MARK = f"user_classifier/1 users=6 partitions=2 by={__version__}"
UNMATCHED = Placed(0, Change(Op.UPDATE_BEFORE, Row("unseen", 7.0, 1)))  # a retraction before its row
N_CALLS = 9  # of each method, at most: a part for each of seven users, and the last transaction


@pytest.fixture(autouse=True)
def _smallest() -> Iterator[None]:
    with smallest_parts():
        yield


def world_in_parts(**given: Any) -> World:
    """A world in which any record fills a transaction."""
    return World(producer=NO_TIME, **given)


def changed(world: World, **given: object) -> None:
    """Other settings for the next run."""
    world.settings = Settings(**{**vars(world.settings), **given})


def repeated(world: World) -> int:
    """How many records repeat the record before them with the same key."""
    last: dict[bytes | None, object] = {}
    count = 0
    for message in itertools.chain.from_iterable(world.broker.logs["out"]):
        content = message.value(), message.headers()
        count += message.key() in last and last[message.key()] == content
        last[message.key()] = content
    return count


def n_written(world: World) -> int:
    """How many records there are in the output."""
    return sum(map(len, world.broker.logs["out"]))


def written_per_transaction(world: World, n_transactions: int) -> tuple[list[int], list[Accident | None]]:
    """A list to be filled with the number of records before each commit, and the accidents that fill it."""
    seen: list[int] = []
    probes: list[Accident | None] = [lambda: seen.append(n_written(world)) for _ in range(n_transactions + 1)]
    return seen, probes


def test_a_first_labelling_is_committed_in_parts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = world_in_parts()
    world.write(INSERTS)
    assert world.run() is None
    committed = [(at.offset, without_row_parts(at.metadata)) for at in world.broker.history]
    assert committed == [(0, f"{MARK} unfinished")] * 6 + [(6, MARK)]
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS)
    lines = [record.getMessage() for record in caplog.records if "large step" in record.getMessage()]
    assert lines == [f"a large step: {n} labels are committed, more follow" for n in range(1, 7)]


def test_a_small_step_is_one_transaction() -> None:
    world = World()
    world.write(INSERTS)
    assert world.run() is None
    assert [(at.offset, without_row_parts(at.metadata)) for at in world.broker.history] == [(6, MARK)]


@pytest.mark.parametrize("accident", [dies, aborts])
@pytest.mark.parametrize("method", METHODS)
def test_a_first_labelling_that_ends_in_any_part_is_continued(method: str, accident: Accident) -> None:
    """No record is written twice, not even of a user known by an unmatched retraction alone."""
    for n_before, more in itertools.product(range(N_CALLS), (INSERTS[:0], update(ROWS[2], 900.0))):
        world = world_in_parts()
        world.write([*INSERTS, UNMATCHED])
        world.run({method: [*[None] * n_before, accident]})
        world.write(more)
        assert world.run() is None, n_before
        changes = [change for _, change in (*INSERTS, *more)]
        found = world.labelling(), world.pending()
        assert found == (oracle.labelled(changes), {"unseen": [[7.0, 1, -1]]}), n_before
        assert repeated(world) == 0, n_before


def update(old: Row, amount: float) -> list[Placed]:
    """The two records of an update."""
    new = old._replace(total_amount=amount)
    return [Placed(0, Change(Op.UPDATE_BEFORE, old)), Placed(0, Change(Op.UPDATE_AFTER, new))]


@pytest.mark.parametrize("method", METHODS)
def test_a_rebuild_that_dies_in_any_part_is_finished_by_a_plain_start(method: str) -> None:
    for n_before in range(N_CALLS):
        world = world_in_parts()
        world.write(INSERTS)
        world.run()
        world.broker.logs["in"][0].clear()
        others = [*INSERTS[:3], *(Placed(0, Change(Op.INSERT, row._replace(total_amount=5.0))) for row in ROWS[3:5])]
        world.write(others)
        changed(world, rebuild=True)
        world.run({method: [*[None] * n_before, dies]})
        changed(world, rebuild=False)
        ended = world.run()
        if ended and isinstance(ended.reason, StateError):  # before the first part was committed
            assert n_before == 0
            continue
        assert ended is None
        assert world.labelling() == oracle.labelled(change for _, change in others), n_before
        assert repeated(world) == 0, n_before


def test_relabelled_users_are_committed_ahead_and_rows_with_their_offsets() -> None:
    """A new user who spends far more changes the labels of others, but not their rows."""
    world = world_in_parts()
    world.write(INSERTS)
    world.run()
    before = n_written(world), len(world.broker.history)
    more = [Placed(0, Change(Op.INSERT, Row("very rich", 9000.0, 1)))]
    world.write(more)
    seen, probes = written_per_transaction(world, 6)
    assert world.run({"commit_transaction": probes}) is None
    relabelled = len(seen) - 1
    assert relabelled >= 2, "else the test shows nothing"
    assert n_written(world) == before[0] + relabelled + 1
    assert len(world.broker.history) == before[1] + 1, "parts leave the offsets as they are"
    assert world.labelling() == oracle.labelled(change for _, change in (*INSERTS, *more))


@pytest.mark.parametrize("accident", [dies, aborts])
@pytest.mark.parametrize("method", METHODS)
def test_labels_ahead_of_a_crash_are_corrected(method: str, accident: Accident) -> None:
    """By another fit, if more records have arrived."""
    more = [Placed(0, Change(Op.INSERT, Row("very rich", 9000.0, 1)))]
    for n_before, later in itertools.product(range(N_CALLS), (INSERTS[:0], [*update(more[0].change.row, 11.0)])):
        world = world_in_parts()
        world.write(INSERTS)
        world.run()
        world.write(more)
        world.run({method: [*[None] * n_before, accident]})
        world.write(later)
        assert world.run() is None
        changes = [change for _, change in (*INSERTS, *more, *later)]
        assert (world.labelling(), world.pending()) == (oracle.labelled(changes), {}), n_before
        assert repeated(world) == 0, n_before


def test_dead_letters_are_committed_with_their_offsets() -> None:
    world = world_in_parts(error_handling_mode="log")
    world.write(INSERTS)
    world.broker.append("in", 0, b"{}", [], None)
    assert world.run({"commit_transaction": [None, None, dies]})
    assert world.broker.logs["error_log"] == [[]]
    assert world.run() is None
    assert [message.value() for message in world.broker.logs["error_log"][0]] == [b"{}"]


def test_the_choice_of_k_auto_is_restored_from_a_part(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = world_in_parts(n_clusters="auto")
    world.write(grouped(4))
    world.run({"commit_transaction": [None, None, dies]})
    assert f" k=4 by={__version__} unfinished" in (world.broker.history[-1].metadata or "")
    assert world.run() is None
    assert "-k auto: 4 clusters, chosen at an earlier start" in caplog.messages
    changed(world, rebuild=True)
    world.run({"commit_transaction": [None, None, dies]})
    caplog.clear()
    assert world.run() is None
    assert "-k auto: 4 clusters; kept until -k is a number" in caplog.messages, "a rebuild chooses again"


def test_an_unfinished_labelling_is_continued_after_retention_deleted_its_first_records() -> None:
    world = world_in_parts()
    world.write(INSERTS)
    world.run({"commit_transaction": [None, None, dies]})
    world.broker.beginnings["in", 0] = 2
    assert world.run() is None
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS[2:])


def test_an_unfinished_labelling_of_a_recreated_topic_is_not_continued() -> None:
    world = world_in_parts()
    world.write(INSERTS)
    world.run({"commit_transaction": [None, None, dies]})
    world.broker.commit([*world.broker.offsets.values()])
    for at in world.broker.offsets.values():
        at.offset = 7
    ended = world.run()
    assert str(ended and ended.reason).startswith("in [0] lost its records from offset 6 on, which were read before ")


def test_later_steps_are_no_larger_than_one_transaction() -> None:
    world = world_in_parts()
    world.write(INSERTS)
    world.run()
    more = [Placed(0, Change(Op.INSERT, Row(f"new {number}", 5.0 * number, 1))) for number in range(5)]
    world.write(more)
    assert world.run() is None
    assert [at.offset for at in world.broker.history][-6:] == [6, 7, 8, 9, 10, 11]
    assert world.labelling() == oracle.labelled(change for _, change in (*INSERTS, *more))


def times_out() -> None:
    """The broker has ended the transaction; the error is that of a takeover."""
    raise failure(KafkaError._FENCED, fatal=True)


def test_after_a_timeout_steps_are_half_as_large(caplog: pytest.LogCaptureFixture) -> None:
    """Halved after each timeout, and doubled after each commit."""
    world = world_in_parts()
    world.write(INSERTS)
    world.run()
    world.write([Placed(0, Change(Op.INSERT, Row(f"new {number}", 5.0 * number, 1))) for number in range(11)])
    with smallest_parts(8):
        assert world.run({"commit_transaction": [times_out, times_out, times_out]}) is None
    assert caplog.messages.count("the transaction timed out; restoring from out") == 3
    assert [at.offset for at in world.broker.history][-4:] == [7, 9, 13, 17]


def test_one_step_deletes_no_more_users_than_one_transaction_takes() -> None:
    world = world_in_parts()
    world.write(INSERTS)
    world.run()
    world.write([Placed(0, Change(Op.DELETE, row)) for row in ROWS[:5]])
    with smallest_parts(2):
        seen, probes = written_per_transaction(world, 30)
        assert world.run({"commit_transaction": probes}) is None
    assert max(later - before for before, later in itertools.pairwise([*seen, n_written(world)])) <= 2
    assert (set(world.labelling()), world.pending(), world.tombstones()) == ({ROWS[5].user_id}, {}, 5)


def large() -> int:
    """How many objects are alive that are as large as the user table."""
    return sum(isinstance(each, UserTable | UserChanges) for each in gc.get_objects())


def times_out_without_context() -> None:
    """Times out as the C client raises: without the error that is being handled as context."""
    try:
        times_out()
    except KafkaException as error:
        error.__context__ = None
        raise


@pytest.mark.parametrize(
    ("accident", "at_the_abort"), [(aborts, None), (times_out, None), (aborts, times_out_without_context)]
)
def test_a_restore_holds_one_table(accident: Accident, at_the_abort: Accident | None) -> None:
    """And one set of changes. The collector is off as in a run, so the frames of failed calls must be cleared."""
    gc.collect()
    gc.disable()
    before, alive = large(), list[int]()

    def count() -> None:
        alive.append(large() - before)

    try:
        world = world_in_parts()
        world.write(INSERTS)
        commits = [None, count, accident, count, accident, count]
        world.run({"commit_transaction": commits, "abort_transaction": [at_the_abort] * 2})
    finally:
        gc.enable()
    assert alive == [2, 2, 2]
