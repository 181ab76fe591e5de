"""Steps that are more than one transaction takes: what goes ahead in parts, and what a death in each of them leaves."""

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
from tests.support.world import INSERTS, METHODS, NO_TIME, ROWS, World, aborts, dies, grouped, smallest_parts

MARK = f"user_classifier/1 users=6 partitions=2 by={__version__}"
UNSEEN = Placed(0, Change(Op.UPDATE_BEFORE, Row("unseen", 7.0, 1)))  # a retraction whose row has not come
N_CALLS = 9  # of each method, at most: a part for each of seven users, and the last transaction


@pytest.fixture(autouse=True)
def _smallest() -> Iterator[None]:
    with smallest_parts():
        yield


def world_in_parts(**given: Any) -> World:
    """Whatever is written fills a transaction."""
    return World(producer=NO_TIME, **given)


def changed(world: World, **given: object) -> None:
    """Other settings for the next run."""
    world.settings = Settings(**{**vars(world.settings), **given})


def repeated(world: World) -> int:
    """How many records say what the one before of their key said."""
    last: dict[bytes | None, object] = {}
    count = 0
    for message in itertools.chain.from_iterable(world.broker.logs["out"]):
        said = message.value(), message.headers()
        count += message.key() in last and last[message.key()] == said
        last[message.key()] = said
    return count


def n_written(world: World) -> int:
    """How many records there are in the output."""
    return sum(map(len, world.broker.logs["out"]))


def written_per_transaction(world: World, n_transactions: int) -> tuple[list[int], list[Accident | None]]:
    """The records of each transaction, once these accidents have happened to its end."""
    seen: list[int] = []
    probes: list[Accident | None] = [lambda: seen.append(n_written(world)) for _ in range(n_transactions + 1)]
    return seen, probes


def test_a_first_labelling_goes_in_parts_that_the_last_one_completes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = world_in_parts()
    world.write(INSERTS)
    assert world.run() is None
    told = [(at.offset, at.metadata) for at in world.broker.history]
    assert told == [(0, f"{MARK} unfinished")] * 6 + [(6, MARK)]
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS)
    lines = [record.getMessage() for record in caplog.records if "large step" in record.getMessage()]
    assert lines == [f"a large step: {n} labels are committed, more follow" for n in range(1, 7)]


def test_with_time_enough_it_is_one_transaction() -> None:
    world = World()
    world.write(INSERTS)
    assert world.run() is None
    assert [(at.offset, at.metadata) for at in world.broker.history] == [(6, MARK)]


@pytest.mark.parametrize("accident", [dies, aborts])
@pytest.mark.parametrize("method", METHODS)
def test_a_first_labelling_that_ends_in_any_part_goes_on(method: str, accident: Accident) -> None:
    """And tells nobody anything twice, not even of one whose row is still to come."""
    for n_before, more in itertools.product(range(N_CALLS), (INSERTS[:0], update(ROWS[2], 900.0))):
        world = world_in_parts()
        world.write([*INSERTS, UNSEEN])
        world.run({method: [*[None] * n_before, accident]})
        world.write(more)
        assert world.run() is None, n_before
        changes = [change for _, change in (*INSERTS, *more)]
        found = world.labelling(), world.pending()
        assert found == (oracle.labelled(changes), {"unseen": [[7.0, 1, -1]]}), n_before
        assert repeated(world) == 0, n_before


def update(old: Row, amount: float) -> list[Placed]:
    """A user spends."""
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
        if ended and isinstance(ended.reason, StateError):  # before the first part: it has not begun
            assert n_before == 0
            continue
        assert ended is None
        assert world.labelling() == oracle.labelled(change for _, change in others), n_before
        assert repeated(world) == 0, n_before


def test_labels_alone_go_ahead_and_rows_with_their_offsets() -> None:
    """Beside somebody who spends far more, some of the others get another label; their rows stay."""
    world = world_in_parts()
    world.write(INSERTS)
    world.run()
    before = n_written(world), len(world.broker.history)
    more = [Placed(0, Change(Op.INSERT, Row("very rich", 9000.0, 1)))]
    world.write(more)
    seen, probes = written_per_transaction(world, 6)
    assert world.run({"commit_transaction": probes}) is None
    relabelled = len(seen) - 1
    assert relabelled >= 2, "or the test shows nothing"
    assert n_written(world) == before[0] + relabelled + 1
    assert len(world.broker.history) == before[1] + 1, "parts leave the offsets as they are"
    assert world.labelling() == oracle.labelled(change for _, change in (*INSERTS, *more))


@pytest.mark.parametrize("accident", [dies, aborts])
@pytest.mark.parametrize("method", METHODS)
def test_labels_ahead_of_a_death_are_mended(method: str, accident: Accident) -> None:
    """By another fit, where more has come meanwhile."""
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


def test_dead_letters_go_with_their_offsets() -> None:
    world = world_in_parts(error_handling_mode="log")
    world.write(INSERTS)
    world.broker.append("in", 0, b"{}", [], None)
    assert world.run({"commit_transaction": [None, None, dies]})
    assert world.broker.logs["error_log"] == [[]]
    assert world.run() is None
    assert [message.value() for message in world.broker.logs["error_log"][0]] == [b"{}"]


def test_what_k_auto_has_chosen_is_recalled_from_a_part(caplog: pytest.LogCaptureFixture) -> None:
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


def test_an_unfinished_labelling_goes_on_though_retention_has_passed_its_beginning() -> None:
    world = world_in_parts()
    world.write(INSERTS)
    world.run({"commit_transaction": [None, None, dies]})
    world.broker.beginnings["in", 0] = 2
    assert world.run() is None
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS[2:])


def test_an_unfinished_labelling_of_a_topic_that_was_made_anew_does_not() -> None:
    world = world_in_parts()
    world.write(INSERTS)
    world.run({"commit_transaction": [None, None, dies]})
    world.broker.commit([*world.broker.offsets.values()])
    for at in world.broker.offsets.values():
        at.offset = 7
    ended = world.run()
    assert str(ended and ended.reason).startswith("in [0]: the committed offset is 7, but the topic ends at 6 ")


def test_a_later_step_comes_before_it_is_more_than_a_transaction_takes() -> None:
    world = world_in_parts()
    world.write(INSERTS)
    world.run()
    more = [Placed(0, Change(Op.INSERT, Row(f"new {number}", 5.0 * number, 1))) for number in range(5)]
    world.write(more)
    assert world.run() is None
    assert [at.offset for at in world.broker.history][-6:] == [6, 7, 8, 9, 10, 11]
    assert world.labelling() == oracle.labelled(change for _, change in (*INSERTS, *more))


def times_out() -> None:
    """The broker has ended the transaction: this cannot be told from a take-over by the error."""
    raise failure(KafkaError._FENCED, fatal=True)


def test_after_a_time_out_steps_are_half_as_large(caplog: pytest.LogCaptureFixture) -> None:
    """Again and again if need be; and twice as large after each that went well."""
    world = world_in_parts()
    world.write(INSERTS)
    world.run()
    world.write([Placed(0, Change(Op.INSERT, Row(f"new {number}", 5.0 * number, 1))) for number in range(11)])
    with smallest_parts(8):
        assert world.run({"commit_transaction": [times_out, times_out, times_out]}) is None
    assert caplog.messages.count("the transaction timed out; restoring from out") == 3
    assert [at.offset for at in world.broker.history][-4:] == [7, 9, 13, 17]


def test_no_more_users_go_at_once_than_a_transaction_takes() -> None:
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
    """How many things are alive that are as large as the table of users."""
    return sum(isinstance(each, UserTable | UserChanges) for each in gc.get_objects())


def ends_alone() -> None:
    """As the C client raises: with no word of the error that is being handled."""
    try:
        times_out()
    except KafkaException as error:
        error.__context__ = None
        raise


@pytest.mark.parametrize(("accident", "at_the_abort"), [(aborts, None), (times_out, None), (aborts, ends_alone)])
def test_a_restore_holds_one_table(accident: Accident, at_the_abort: Accident | None) -> None:
    """And one set of changes. The collector is off as in a run: what the failed calls hold has to be let go."""
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
