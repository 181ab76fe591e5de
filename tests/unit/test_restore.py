"""Restores: what a start continues from, what it refuses, and what --rebuild does."""

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from classifier.config.settings import Settings
from classifier.errors import StateError
from classifier.kafka import source
from tests.support import oracle
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.memory import registry_of
from tests.support.wire import AGGREGATE_SCHEMA, KEY_SCHEMA, schema_id_of, unframe
from tests.support.world import BASE, INSERTS, METHODS, NO_TIME, Died, World, aborts, dies, smallest_parts


class Polls:
    """A report that keeps the polls, and begins and ends of restores."""

    def __init__(self) -> None:
        self.polls: list[tuple[int, int | None]] = []
        self.restores: list[tuple[bool, int]] = []  # whether it is complete, and the number of polls until then

    def read(self, n_records: int, n_behind: int | None) -> None:
        self.polls.append((n_records, n_behind))

    def restored(self, *, complete: bool) -> None:
        self.restores.append((complete, len(self.polls)))

    def bad(self, n_records: int) -> None:
        """Ignored."""

    def step(self, step: object) -> None:
        """Ignored."""


def test_reports_are_updated_while_restoring() -> None:
    world = World()
    world.write(INSERTS)
    world.run()
    report = Polls()
    world.run(report=report)
    assert report.polls[0] == (0, None), "the output is read before the input"
    assert any(behind is not None for _, behind in report.polls)
    (began, polls_before), (ended, polls_then) = report.restores
    assert (began, polls_before, ended) == (False, 0, True)
    assert report.polls[:polls_then] == [(0, None)] * polls_then


def test_another_mode_does_not_continue_from_the_offsets() -> None:
    world = World(changelog_mode="append")
    world.write(INSERTS)
    world.run()
    world.settings = BASE
    ended = world.run()
    assert str(ended and ended.reason) == (
        "in [0]: the committed offset 6 was reached with --changelog-mode append, this is retract;"
        " to start over: run again with --rebuild"
    )


def test_an_output_with_more_partitions_is_refused() -> None:
    """A user's old record stays in its partition and the new one is in another: either may be read last."""
    world = World()
    world.write(INSERTS)
    world.run()
    world.broker.logs["out"].append([])
    for world.settings in (BASE, Settings(**{**vars(BASE), "rebuild": True})):
        assert str(getattr(world.run(), "reason", None)) == (
            "out has changed since its labels were written (then partitions=2; now partitions=3);"
            " choose another output with -o and its own group with -g, or recreate the topic and run with --rebuild"
        )
    world.broker.logs["out"] = [[]]
    assert world.run() is None, "recreated"
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS)


def test_an_output_whose_keys_have_become_avro_is_refused() -> None:
    world = World()
    world.write(INSERTS)
    world.run()
    world.registry.register("out-key", KEY_SCHEMA)
    reason = str(getattr(world.run(), "reason", None))
    assert reason.startswith(
        "out has changed since its labels were written (then partitions=2; now partitions=2, keys=avro); "
    )


def test_a_rebuild_deletes_users_without_input_at_the_first_end() -> None:
    """They are part of no fit, and not of the choice of -k auto."""
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


def rebuilt(prepare: Callable[[World], None]) -> World:
    """A world in which a start was refused, after --rebuild."""
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


def test_rebuild_after_the_output_was_lost() -> None:
    def lose_output(world: World) -> None:
        world.broker.logs["out"] = [[], []]

    world = rebuilt(lose_output)
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS)


def test_rebuild_deletes_users_without_input() -> None:
    def other_input(world: World) -> None:
        world.broker.logs["in"][0].clear()
        world.write(INSERTS[:4])

    assert rebuilt(other_input).labelling() == oracle.labelled(change for _, change in INSERTS[:4])


def delete_value_subject(world: World) -> None:
    """Delete the value subject of the output permanently; two users have no record in the input any more."""
    cast(Any, world.registry).delete_permanently("out-value")
    world.broker.logs["in"][0].clear()
    world.write(INSERTS[:4])


@pytest.mark.parametrize("decoded_together", [2, 20_000])
def test_rebuild_after_the_value_subject_was_deleted(decoded_together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the topic is not compacted yet, and the old records of many users are decoded apart."""
    for name in ("LABELS_PER_DECODE", "MAX_POLL_RECORDS"):
        monkeypatch.setattr(source, name, decoded_together)
    world = rebuilt(delete_value_subject)
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS[:4])


@pytest.mark.parametrize("n_parts", range(4))
def test_an_interrupted_rebuild_after_the_value_subject_was_deleted(n_parts: int) -> None:
    """Some users then have a row in the output that can be read, some have one that cannot, some are deleted."""
    world = World()
    world.write(INSERTS)
    world.run()
    delete_value_subject(world)
    world.settings = Settings(**{**vars(BASE), "rebuild": True, "producer": NO_TIME})
    with smallest_parts():
        assert isinstance(getattr(world.run({"commit_transaction": [*[None] * n_parts, dies]}), "reason", None), Died)
        assert world.run() is None
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS[:4])


def test_a_rebuild_continues_after_aborts() -> None:
    world = World(batch_size=1)
    world.write(INSERTS)
    world.run()
    world.broker.history.clear()
    world.settings = Settings(**{**vars(BASE), "batch_size": 1, "rebuild": True})
    assert world.run({"commit_transaction": [None, None, aborts]}) is None
    assert world.offsets() == {0: [1, 2, 3, 4, 5, 6]}


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_rebuild_is_not_taken_as_complete(method: str) -> None:
    """A plain start either refuses or completes it."""
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


LISTS = [("total_amount", "total_amount,num_transactions"), ("total_amount,num_transactions", "num_transactions")]
RETRACTED = Placed(0, Change(Op.DELETE, Row("known by a retraction alone", 8.0, 1)))


def relabelled(before: str, after: str, accident: int | None = None) -> World:
    """A world after --rebuild with other features, killed after some transactions if given, and a plain start."""
    world = World(features=before)
    world.registry = registry_of(in__value=AGGREGATE_SCHEMA)
    world.write([*INSERTS, RETRACTED])
    assert world.run() is None
    for number, more in enumerate([{"rebuild": True, "producer": NO_TIME}, {}]):
        world.settings = Settings(**{**vars(BASE), "features": after, **more})
        accidents = {} if accident is None or number else {"commit_transaction": [*[None] * accident, dies]}
        ended = world.run(accidents)
        assert isinstance(getattr(ended, "reason", None), Died) if accidents else ended is None, ended
    return world


def assert_has_only(world: World, features: str) -> None:
    """Check that the last record of each user has these features, and that the retraction waits for its row."""
    last = {message.key(): message for log in world.broker.logs["out"] for message in log}
    tombstone = last.pop(RETRACTED.change.row.user_id.encode())
    row = RETRACTED.change.row._asdict()
    assert json.loads(dict(tombstone.headers() or [])["pending"] or b"") == [[*map(row.get, features.split(",")), -1]]
    values = [message.value() or b"" for message in last.values()]
    rows = [unframe(world.registry.by_id(schema_id_of(value)), value) for value in values]
    assert [[*row] for row in rows] == [["user_id", *features.split(","), "label"]] * len(INSERTS)


@pytest.mark.parametrize(("before", "after"), LISTS)
@pytest.mark.parametrize("n_parts", [None, 1, 2, 3])
def test_a_rebuild_with_other_features(before: str, after: str, n_parts: int | None) -> None:
    """Also where a tombstone holds pending rows of the old ones, and where the rebuild is killed."""
    with smallest_parts():
        assert_has_only(relabelled(before, after, n_parts), after)


@pytest.mark.parametrize(("before", "after"), LISTS)
def test_old_rows_with_other_features_are_decoded_apart(
    before: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A topic of many users that is not compacted yet: the records of one decoding are all old ones."""
    for name in ("LABELS_PER_DECODE", "MAX_POLL_RECORDS"):
        monkeypatch.setattr(source, name, 2)
    assert_has_only(relabelled(before, after), after)
