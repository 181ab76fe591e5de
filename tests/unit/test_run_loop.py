"""The whole loop on Kafka in memory: whatever happens on the way, the output ends as the oracle says."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from confluent_kafka import KafkaError
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier import intake, outage, state
from classifier.errors import (
    ClassifierError,
    ConfigError,
    ProducerFenced,
    RecordError,
    RestoreNeeded,
    StateError,
    TopicMissing,
)
from classifier.intake import Intake
from classifier.number_of_clusters import NumberOfClusters
from classifier.reports import Reports
from classifier.settings import Settings
from classifier.stop import StopRequest
from classifier.user_table import Changes
from tests.support import oracle
from tests.support.changelog import Change, Op, Placed, Row, cut
from tests.support.fakes import Accident, FakeBroker, FakeConsumer, FakeMessage, FakeProducer, failure
from tests.support.memory import KafkaInMemory, registry_of
from tests.support.strategies import changelogs, cuts, placements
from tests.support.wire import AGGREGATE_SCHEMA, KEY_SCHEMA, LABELING_SCHEMA, Headers, body, frame, unframe
from user_classifier import label

BASE = Settings(
    schema_registry={},
    consumer={"bootstrap.servers": "host:9092"},
    producer={},
    topic="in",
    output="out",
    until_end=True,
)
METHODS = ("begin_transaction", "produce", "send_offsets_to_transaction", "commit_transaction")


class Died(BaseException):
    """The process is gone."""


class Abandoned(NamedTuple):
    """Why a run ended otherwise than at the end of the input."""

    reason: BaseException


class World:
    """A broker, a registry, and runs of the client one after the other."""

    def __init__(self, partitions: int = 1, **given: object) -> None:
        self.broker = FakeBroker(**{"in": partitions, "out": 2, "error_log": 1})
        self.registry = registry_of(in__value=AGGREGATE_SCHEMA, out__value=LABELING_SCHEMA)
        self.settings = Settings(**{**vars(BASE), **given})
        self.stop = StopRequest()
        self._seeds = itertools.count()

    def write(self, placed: list[Placed]) -> None:
        """Write changes into the input."""
        for partition, (op, row) in placed:
            value = frame(1, body(AGGREGATE_SCHEMA, row._asdict()))
            self.broker.append("in", partition, value, [("op", bytes([op]))], None)

    def run(
        self,
        accidents: dict[str, list[Accident | None]] | None = None,
        report: Any = None,
        tick: float = 1.0,
    ) -> Abandoned | None:
        """One run of the client, until the end of the input or until something ends it; its clock ticks when asked."""
        self.stop = StopRequest()
        consumer = FakeConsumer(self.broker, seed=next(self._seeds))
        # One that only looks gets no producer.
        producer = cast(FakeProducer, None) if self.settings.looks else FakeProducer(self.broker, accidents)
        kafka = KafkaInMemory(self.settings, self.stop, consumer, producer)
        clock = itertools.count(0.0, tick)
        try:
            label(self.settings, kafka, self.registry, self.stop, report or Reports(), clock.__next__)
        except (ClassifierError, Died) as reason:
            return Abandoned(reason)
        finally:
            assert consumer.closed
        return None

    def labelling(self) -> dict[str, oracle.Labelled]:
        """The output, compacted."""
        last = {message.key(): message for log in self.broker.logs["out"] for message in log}
        values = [value for message in last.values() if (value := message.value()) is not None]
        rows = [oracle.Labelled(**unframe(LABELING_SCHEMA, value)) for value in values]
        return {row.user_id: row for row in rows}

    def pending(self) -> dict[str, list[list[float]]]:
        """What is pending, by user."""
        last = {message.key(): message for log in self.broker.logs["out"] for message in log}
        headers = {(key or b"").decode(): dict(message.headers() or []) for key, message in last.items()}
        return {user_id: json.loads(named["pending"] or b"") for user_id, named in headers.items() if named}

    def tombstones(self) -> int:
        """How many users were ever deleted."""
        return sum(message.value() is None for log in self.broker.logs["out"] for message in log)

    def offsets(self) -> dict[int, list[int]]:
        """Every offset committed, by partition."""
        found: dict[int, list[int]] = {}
        for each in self.broker.history:
            found.setdefault(each.partition, []).append(each.offset)
        return found


def dies() -> None:
    """kill -9."""
    raise Died


def aborts() -> None:
    """The broker has given the transaction up."""
    raise failure(KafkaError.INVALID_PRODUCER_EPOCH, abort=True)


def hesitates() -> None:
    """The same call will do, later."""
    raise failure(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, retriable=True)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr(outage, "RETRY_SECONDS", 0)


def accidents(world: World) -> st.SearchStrategy[dict[str, list[Accident | None]]]:
    """At most a few calls of each method meet with one."""

    def stops() -> None:
        world.stop.requested = True

    kinds: dict[str, list[Accident]] = {
        "begin_transaction": [dies, hesitates, stops],
        "produce": [dies, stops],
        "send_offsets_to_transaction": [dies, aborts, hesitates, stops],
        "commit_transaction": [dies, aborts, hesitates, stops],
    }
    queues = {name: st.lists(st.sampled_from([None, None, *kinds[name]]), max_size=4) for name in METHODS}
    return st.fixed_dictionaries(queues)


@settings(max_examples=60)
@given(st.data())
def test_whatever_happens_the_output_is_the_oracles(data: st.DataObject) -> None:
    """Any changelog in any partitions, arriving in pieces; stops, deaths, aborts and hesitations anywhere."""
    changes = data.draw(changelogs(max_steps=30))
    placed = data.draw(placements(changes, max_partitions=4))
    world = World(partitions=4, batch_size=data.draw(st.sampled_from([1, 3, 20, None])))
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


ROWS = [Row(f"user {number}", 10.0 * number, number) for number in range(1, 7)]
INSERTS = [Placed(0, Change(Op.INSERT, row)) for row in ROWS]


def test_one_run_is_one_step() -> None:
    world = World()
    world.write(INSERTS)
    assert world.run() is None
    assert len(world.broker.history) == 1
    assert world.broker.history[0].metadata == "user_classifier/1 users=6 partitions=2"
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS)


def test_a_step_for_each_record_if_wanted() -> None:
    world = World(batch_size=1)
    world.write(INSERTS)
    world.run()
    assert [each.offset for each in world.broker.history] == [1, 2, 3, 4, 5, 6]


def test_until_end_waits_for_the_last_step() -> None:
    """The end is reached long before the interval has passed."""
    world = World(batch_size=4, batch_interval=100.0)
    world.write(INSERTS)
    assert world.run() is None
    assert world.offsets() == {0: [4, 6]}


@pytest.mark.parametrize("batch_size", [1, 3, 6])
def test_until_end_leaves_no_tombstone_to_be_written(batch_size: int) -> None:
    """The last step came before the end, and the end at once behind it."""
    world = World(batch_size=batch_size)
    rows = [Row(name, 10.0, 1) for name in "abcde"]
    gone = Placed(0, Change(Op.DELETE, rows[0]))
    world.write([*(Placed(0, Change(Op.INSERT, row)) for row in rows), gone])
    assert world.run(tick=0.001) is None
    assert (set(world.labelling()), world.pending()) == (set("bcde"), {})


def updates(*rows: Row) -> list[Change]:
    """From each row to the next."""
    pairs = itertools.pairwise(rows)
    return [change for old, new in pairs for change in (Change(Op.UPDATE_BEFORE, old), Change(Op.UPDATE_AFTER, new))]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_user_whose_new_row_is_still_to_come_keeps_the_old_one(restarted: bool) -> None:
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
    """Without a row at both of them, but not all the time."""
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


def test_a_stop_leaves_no_tombstone_to_be_written() -> None:
    """Told between the first end and the second."""
    world = World()
    world.write(INSERTS)
    world.run()
    world.write([Placed(0, Change(Op.DELETE, ROWS[0]))])
    world.settings = Settings(**{**vars(BASE), "until_end": False})

    def stops() -> None:
        world.stop.requested = True

    assert world.run({"commit_transaction": [stops]}) is None
    assert (set(world.labelling()), world.pending()) == ({row.user_id for row in ROWS[1:]}, {})


def test_an_empty_input_is_marked_once() -> None:
    world = World(partitions=2)
    assert world.run() is None
    assert {(each.partition, each.offset, each.metadata) for each in world.broker.history} == {
        (partition, 0, "user_classifier/1 users=0 partitions=2") for partition in range(2)
    }


def test_fenced_is_the_end() -> None:
    world = World()
    world.write(INSERTS)
    fenced = failure(KafkaError._FENCED, fatal=True)

    def fence() -> None:
        raise fenced

    ended = world.run({"commit_transaction": [fence]})
    assert isinstance(ended and ended.reason, ProducerFenced)
    assert world.labelling() == {}


def test_an_abort_is_told_and_made_good(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.write(INSERTS)
    assert world.run({"commit_transaction": [aborts, aborts]}) is None
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["transaction aborted (made up); restoring from out"] * 2
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS)


@pytest.mark.parametrize(
    ("given", "topic", "message"),
    [
        (
            {"topic": "transactions_aggregate"},
            "transactions_aggregate",
            "topic transactions_aggregate does not exist; check its name, or make it:"
            " run sql/3_create_transactions_aggregate.sql",
        ),
        (
            {"output": "user_labeling"},
            "user_labeling",
            "topic user_labeling does not exist; check its name, or make it: run sql/5_create_user_labeling.sql",
        ),
        (
            {"error_handling_mode": "log", "error_handling_log_target": "dead"},
            "dead",
            "topic dead does not exist; check its name, or make it: confluent kafka topic create dead",
        ),
    ],
)
def test_a_topic_that_is_missing(given: dict[str, object], topic: str, message: str) -> None:
    ended = World(**given).run()  # type: ignore[arg-type]
    assert isinstance(ended and ended.reason, TopicMissing)
    assert str(ended and ended.reason) == message


def test_a_bad_record_stops_before_its_offset_or_is_kept() -> None:
    world = World(batch_size=2)
    world.write(INSERTS[:4])
    world.broker.append("in", 0, b"{}", [("trace", b"1")], b"key")
    world.write(INSERTS[4:])
    ended = world.run()
    assert isinstance(ended and ended.reason, RecordError)
    assert str(ended and ended.reason) == (
        "in [0] at offset 4: not Confluent Avro (first byte 0x7b); to skip such records: --error-handling-mode ignore,"
        " to keep them: log"
    )
    assert world.offsets()[0][-1] == 4
    world.settings = Settings(**{**vars(world.settings), "error_handling_mode": "log"})
    assert world.run({"commit_transaction": [aborts]}) is None
    (letter,) = world.broker.logs["error_log"][0]
    assert (letter.key(), letter.value()) == (b"key", b"{}")
    assert dict(letter.headers() or [])["__streams.errors.offset"] == b"4"
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS)


BAD: list[tuple[bytes | None, Headers]] = [
    (b"{}", []),
    (b"[]", [("op", b"\1")]),
    (frame(1, b"\0"), []),
    (frame(1, b""), [("op", b"\2")]),
    (None, []),
    (b"{}", [("op", b"x")]),
]


@settings(max_examples=60)
@given(st.data())
def test_each_bad_record_is_kept_once_and_no_good_one_lost(data: st.DataObject) -> None:
    """Bad ones anywhere between the good ones, some of them alike; batches and accidents as they come.

    None takes another back: such a pair cancels before it is decoded.
    """
    changes = data.draw(changelogs(max_steps=20))
    placed = data.draw(placements(changes, max_partitions=3))
    bad = data.draw(
        st.lists(st.tuples(st.integers(0, len(placed)), st.integers(0, 2), st.sampled_from(BAD)), max_size=6)
    )
    mode = data.draw(st.sampled_from(["log", "ignore"]))
    size = data.draw(st.sampled_from([1, 4, None]))
    world = World(partitions=3, error_handling_mode=mode, batch_size=size)
    for at, change in enumerate([*placed, None]):
        for _, partition, (value, headers) in (each for each in bad if each[0] == at):
            world.broker.append("in", partition, value, headers, None)
        world.write([change] if change else [])
    while (ended := world.run(data.draw(accidents(world)))) is not None or world.stop.requested:
        assert not isinstance(ended and ended.reason, RecordError), ended
    assert world.labelling() == oracle.labelled(changes)
    kept = [dict(letter.headers() or []) for letter in world.broker.logs["error_log"][0]]
    places = sorted(
        (int(each["__streams.errors.partition"] or 0), int(each["__streams.errors.offset"] or 0)) for each in kept
    )
    logs = enumerate(world.broker.logs["in"])
    good = {frame(1, body(AGGREGATE_SCHEMA, row._asdict())) for _, row in changes}
    expected = [(number, message.offset()) for number, log in logs for message in log if message.value() not in good]
    assert places == (expected if mode == "log" else [])


def test_bad_records_of_one_batch_are_each_kept_once() -> None:
    """Those known as bad from their headers are not found a second time by their values."""
    world = World(error_handling_mode="log", batch_size=len(BAD))
    for value, headers in BAD:
        world.broker.append("in", 0, value, headers, None)
    assert world.run() is None
    kept = [dict(letter.headers() or []) for letter in world.broker.logs["error_log"][0]]
    assert [int(each["__streams.errors.offset"] or -1) for each in kept] == list(range(len(BAD)))


@pytest.mark.parametrize("headers", [[], [("traceparent", b"00")]])
@pytest.mark.parametrize("batch_size", [None, 1])
def test_rows_without_a_word_about_their_past_are_no_retract_changelog(
    batch_size: int | None, headers: Headers
) -> None:
    world = World(batch_size=batch_size)
    for amount in (1.0, 2.0, 3.0):
        fields = {"user_id": "ann", "total_amount": amount, "num_transactions": 1}
        world.broker.append("in", 0, frame(1, body(AGGREGATE_SCHEMA, fields)), headers, None)
    ended = world.run()
    assert isinstance(ended and ended.reason, StateError)
    rebuild = " --rebuild" if batch_size else ""  # there are offsets
    assert str(ended and ended.reason).endswith(f"run with --changelog-mode append{rebuild}")
    world.settings = Settings(**{**vars(BASE), "changelog_mode": "append", "rebuild": bool(rebuild)})
    assert world.run() is None
    assert {user: row.total_amount for user, row in world.labelling().items()} == {"ann": 3.0}


def test_a_rebuild_drops_at_once_whom_the_input_does_not_have() -> None:
    """No fit counts them, nor does the choice of -k auto."""
    world = World()
    world.write(INSERTS)
    world.run()
    world.broker.logs["in"] = [[]]
    world.write(INSERTS[:4])
    world.settings = Settings(**{**vars(BASE), "rebuild": True})
    before = len(world.broker.history)
    assert world.run() is None
    assert len(world.broker.history) == before + 1
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS[:4])


def test_another_mode_does_not_go_on_from_the_offsets() -> None:
    world = World(changelog_mode="append")
    world.write(INSERTS)
    world.run()
    world.settings = BASE
    ended = world.run()
    assert str(ended and ended.reason) == (
        "in [0]: the committed offset 6 was reached with --changelog-mode append, this is retract;"
        " to start over: run again with --rebuild"
    )


def rebuilt(prepare: Callable[[World], None]) -> World:
    """A world in which something has gone wrong, after --rebuild."""
    world = World()
    world.write(INSERTS)
    world.run()
    prepare(world)
    assert isinstance(getattr(world.run(), "reason", None), StateError)
    world.settings = Settings(**{**vars(BASE), "rebuild": True})
    assert world.run() is None
    world.settings = BASE
    assert world.run() is None
    return world


def test_an_output_with_more_partitions_is_refused() -> None:
    """A user's old record stays where it was, and the new one goes elsewhere: which is read last is chance."""
    world = World()
    world.write(INSERTS)
    world.run()
    world.broker.logs["out"].append([])
    for world.settings in (BASE, Settings(**{**vars(BASE), "rebuild": True})):
        assert str(getattr(world.run(), "reason", None)) == (
            "out has changed under the labels (then partitions=2; now partitions=3);"
            " choose another output with -o, or make the topic anew and run with --rebuild"
        )
    world.broker.logs["out"] = [[]]
    assert world.run() is None, "made anew"
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS)


def test_an_output_whose_keys_have_become_avro_is_refused() -> None:
    world = World()
    world.write(INSERTS)
    world.run()
    world.registry.register("out-key", KEY_SCHEMA)
    reason = str(getattr(world.run(), "reason", None))
    assert reason.startswith("out has changed under the labels (then partitions=2; now partitions=2, keys=avro); ")


def test_rebuild_after_the_output_was_lost() -> None:
    def lose_output(world: World) -> None:
        world.broker.logs["out"] = [[], []]

    world = rebuilt(lose_output)
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS)


def test_rebuild_drops_users_that_the_input_does_not_have() -> None:
    def other_input(world: World) -> None:
        world.broker.logs["in"][0].clear()
        world.write(INSERTS[:4])

    assert rebuilt(other_input).labelling() == oracle.labelled(change for _, change in INSERTS[:4])


def test_a_rebuild_that_is_aborted_goes_on_where_it_was() -> None:
    world = World(batch_size=1)
    world.write(INSERTS)
    world.run()
    world.broker.history.clear()
    world.settings = Settings(**{**vars(BASE), "batch_size": 1, "rebuild": True})
    assert world.run({"commit_transaction": [None, None, aborts]}) is None
    assert world.offsets() == {0: [1, 2, 3, 4, 5, 6]}


@pytest.mark.parametrize("method", METHODS)
def test_a_rebuild_that_dies_is_not_taken_for_done(method: str) -> None:
    """Until it is over a plain start refuses, or ends where the rebuild would have ended."""
    world = World(partitions=2, batch_size=1, rebuild=True)
    world.write([Placed(number % 2, change) for number, (_, change) in enumerate(INSERTS)])
    world.settings = Settings(**{**vars(BASE)})
    world.run()
    world.settings = Settings(**{**vars(BASE), "batch_size": 1, "rebuild": True})
    world.run({method: [None, None, None, dies]})
    world.settings = BASE
    ended = world.run()
    if ended is None:
        assert world.labelling() == oracle.labelled(change for _, change in INSERTS)
    else:
        assert isinstance(ended.reason, StateError)


def grouped(n_groups: int, n_users: int = 12, moved: float = 0.0) -> list[Placed]:
    """New users in groups far apart."""
    rows = [Row(f"u{i:02}", 1000.0 * (i % n_groups) + i + moved, 1 + i % n_groups) for i in range(n_users)]
    return [Placed(0, Change(Op.INSERT, row)) for row in rows]


def auto(world: World, **given: object) -> World:
    """The same world, its client with -k auto."""
    world.settings = Settings(**{**vars(BASE), "n_clusters": "auto", **given})
    return world


def ks(world: World) -> list[str]:
    """The numbers of clusters in the marks, oldest first, without repetitions."""
    return [k for k, _ in itertools.groupby(str(each.metadata).partition(" k=")[2] for each in world.broker.history)]


@pytest.mark.parametrize("n_groups", [2, 4, 5])
def test_k_auto_takes_the_best(n_groups: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = auto(World(), batch_size=2)
    placed = grouped(n_groups)
    world.write(placed)
    assert world.run() is None
    assert ks(world) == [str(n_groups)]
    assert len(world.broker.history) == 1, "one step, at the end, whatever the size of a batch"
    assert world.labelling() == oracle.labelled((change for _, change in placed), n_groups)
    messages = [record.getMessage() for record in caplog.records]
    assert " k  silhouette     inertia" in messages
    assert f"-k auto: {n_groups} clusters; kept until -k says otherwise" in messages


def test_k_auto_is_kept_until_k_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    world = auto(World())
    first, second = grouped(4), grouped(2, n_users=60)[12:]
    world.write(first)
    world.run()
    with monkeypatch.context() as patch:
        patch.setattr(NumberOfClusters, "compare", lambda *_: pytest.fail("compared again"))
        world.write(second)
        assert world.run() is None
    assert world.labelling() == oracle.labelled((change for _, change in first + second), 4)
    world.settings = Settings(**{**vars(BASE), "n_clusters": 3})
    world.write([Placed(0, Change(Op.INSERT, Row("x", 1.0, 1)))])
    world.run()
    assert ks(world) == ["4", ""]
    auto(world).write([Placed(0, Change(Op.INSERT, Row("y", 1.0, 1)))])
    world.run()
    assert len(ks(world)) == 3, "chosen anew, as nothing is kept"


def test_k_auto_is_kept_over_an_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    world = auto(World())
    world.write(grouped(4))
    compared = 0
    compare = NumberOfClusters.compare

    def counted(number: NumberOfClusters, totals: Any) -> object:
        nonlocal compared
        compared += 1
        return compare(number, totals)

    monkeypatch.setattr(NumberOfClusters, "compare", counted)
    assert world.run({"commit_transaction": [aborts]}) is None
    assert (compared, ks(world)) == (1, ["4"])


def test_a_rebuild_chooses_anew() -> None:
    world = auto(World())
    world.write(grouped(4))
    world.run()
    world.broker.logs["in"][0].clear()
    world.write(grouped(2))
    auto(world, rebuild=True)
    assert world.run() is None
    assert ks(world) == ["4", "2"]


def test_k_auto_waits_for_three_users() -> None:
    world = auto(World())
    placed = grouped(2, n_users=5)
    for piece in (placed[:2], placed[2:]):
        world.write(piece)
        assert world.run() is None
    assert ks(world)[0] == ""
    assert ks(world)[-1] in {"2", "3", "4"}
    assert len(world.labelling()) == 5


def test_a_stop_before_the_choice_commits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = auto(World(), until_end=False)
    world.write(grouped(4))

    def stopped(number: NumberOfClusters, totals: Any) -> list[object]:
        world.stop.requested = True
        return []

    monkeypatch.setattr(NumberOfClusters, "compare", stopped)
    assert world.run() is None
    assert world.broker.history == []
    assert world.labelling() == {}


@pytest.mark.parametrize("again", [False, True])
def test_names_must_be_as_many_as_the_clusters_chosen(again: bool) -> None:
    world = auto(World(), label_names=None if again else "low,high")
    world.write(grouped(4))
    world.run()
    auto(world, label_names="low,high")
    ended = world.run()
    assert isinstance(ended and ended.reason, ConfigError)
    assert str(ended and ended.reason) == (
        "-k auto has chosen 4, but --label-names: 4 clusters need 4 names, separated by commas, got 2: 'low,high';"
        " or choose yourself: -k 2"
    )


class Alive:
    """A report that notes what it is told of polls."""

    def __init__(self) -> None:
        self.polls: list[tuple[int, int | None]] = []

    def read(self, n_records: int, n_behind: int | None) -> None:
        self.polls.append((n_records, n_behind))

    def bad(self, n_records: int) -> None:
        """Nor are bad records."""

    def step(self, step: object) -> None:
        """A step is not what matters here."""


def test_reports_hear_of_polls_while_restoring() -> None:
    world = World()
    world.write(INSERTS)
    world.run()
    report = Alive()
    world.run(report=report)
    assert report.polls[0] == (0, None), "the output is read before the input"
    assert any(behind is not None for _, behind in report.polls)


def look(world: World, capsys: pytest.CaptureFixture[str], **given: object) -> list[str]:
    """What --dry-run or --explore-k prints; without a producer it can but leave Kafka as it is."""
    world.settings = Settings(**{**vars(BASE), "until_end": False, **given})
    assert world.run() is None
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_dry_run_shows_what_a_run_writes(batch_size: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(batch_size=batch_size)
    first, second = cut(grouped(3, n_users=30), [25])
    world.write(first)
    world.run()
    world.write(second)
    commits, written = len(world.broker.history), len(world.broker.logs["out"][0])
    told = look(world, capsys, dry_run=True, batch_size=batch_size, label_names="low,middle,high")
    assert (len(world.broker.history), len(world.broker.logs["out"][0])) == (commits, written)
    world.settings = BASE
    world.run()
    rows = {line.split()[0]: line.split() for line in told if re.match(r"u\d\d ", line)}
    labelling = world.labelling()
    assert list(rows) == sorted(labelling)[:20]
    names = ("low", "middle", "high")
    assert {user: [row[-2], row[-1]] for user, row in rows.items()} == {
        user: [str(labelling[user].label), names[labelling[user].label]] for user in rows
    }
    assert "... and 10 users more" in told
    assert (
        told[-1] == f"a run would change {len(world.broker.logs['out'][0]) - written} users of out; nothing was written"
    )


def test_a_dry_run_leaves_out_who_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.write(INSERTS)
    world.run()
    world.write([Placed(0, Change(Op.DELETE, ROWS[0]))])
    told = look(world, capsys, dry_run=True)
    assert [line[:6] for line in told if re.match(r"user \d ", line)] == [row.user_id for row in ROWS[1:]]


def test_a_dry_run_with_k_auto(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.write(grouped(4))
    told = look(world, capsys, dry_run=True, n_clusters="auto")
    assert {line.split()[-1] for line in told if re.match(r"u\d\d ", line)} == {"0", "1", "2", "3"}


def test_numbers_of_clusters_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.write(grouped(4))
    picture = tmp_path / "explore.png"
    told = look(world, capsys, explore_k=True, plot=picture)
    assert told[:2] == ["12 users", " k  silhouette     inertia"]
    assert [line.split()[0] for line in told if line.endswith("best silhouette")] == ["4"]
    assert told[-1] == f"drawn: {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert (world.broker.history, world.broker.logs["out"]) == ([], [[], []])


def test_too_few_users_to_compare() -> None:
    world = World(explore_k=True)
    world.write(INSERTS[:2])
    ended = world.run()
    assert str(ended and ended.reason) == (
        "too few users to compare numbers of clusters, at least 3 are needed; give a number: -k 3"
    )


def test_a_look_that_is_stopped_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(dry_run=True)

    def stopped(intake: Intake) -> None:
        world.stop.requested = True
        raise RestoreNeeded("stopped while looking for the records that cannot be read")

    monkeypatch.setattr(Intake, "gather", stopped)
    assert world.run() is None


@pytest.mark.parametrize(("commits", "refused"), [(1, False), (3, False), (1000, True)])
def test_a_look_beside_a_client_that_commits(
    commits: int, refused: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output is read before the offsets; what is committed in between must not tear them apart."""
    world = World(batch_size=1)
    world.write(INSERTS)
    world.run()
    read, left, rows = state.read_labels, iter(range(commits)), [INSERTS[0].change.row]

    def meanwhile(*given: Any) -> Changes:
        found = read(*given)
        if next(left, None) is not None:
            rows[0:0] = [rows[0]._replace(total_amount=rows[0].total_amount + 1)]
            world.write([Placed(0, Change(Op.UPDATE_BEFORE, rows[1])), Placed(0, Change(Op.UPDATE_AFTER, rows[0]))])
            with monkeypatch.context() as patch:
                patch.setattr(intake, "read_labels", read)
                world.settings = BASE
                world.run()
            world.stop = StopRequest()
        return found

    monkeypatch.setattr(intake, "read_labels", meanwhile)
    world.settings = Settings(**{**vars(BASE), "dry_run": True})
    ended = world.run()
    if refused:
        assert str(ended and ended.reason) == (
            "out is written to faster than it can be read; try again, or stop the running user_classifier first"
        )
    else:
        assert ended is None
        told = capsys.readouterr().out
        assert told.endswith("a run would change 0 users of out; nothing was written\n")
        assert re.search(rf"^user 1 +{rows[0].total_amount:.2f} ", told, re.MULTILINE)
