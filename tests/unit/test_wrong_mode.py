"""A retract changelog that is read in another mode: its first retraction ends the run."""

from typing import Any, cast

import pytest
from confluent_kafka.admin import AdminClient

from classifier.commands.check import check
from classifier.config.settings import Settings
from classifier.errors import StateError
from tests.support.admin import READ, WRITE, FakeAdmin, FakeKafka, FakeRegistry, as_the_client_sees
from tests.support.changelog import Change, Op, Placed
from tests.support.fakes import FakeBroker
from tests.support.wire import AGGREGATE_SCHEMA, Headers, body, frame
from tests.support.world import BASE, INSERTS, ROWS, World

OTHERS = ["append", "upsert"]


def value(user_id: str, amount: float) -> bytes:
    """The value of a row's record."""
    return frame(1, body(AGGREGATE_SCHEMA, {"user_id": user_id, "total_amount": amount, "num_transactions": 1}))


def read_as(mode: str, **given: Any) -> World:
    """A world whose client runs in this mode."""
    return World(changelog_mode=mode, **given)


def refusal(world: World) -> str:
    """The StateError that ends a run."""
    ended = world.run()
    assert isinstance(ended and ended.reason, StateError)
    return str(ended and ended.reason)


@pytest.mark.parametrize("mode", OTHERS)
@pytest.mark.parametrize("op", [b"\1", b"\3", b"1", b"3"])
def test_a_retraction_is_refused(mode: str, op: bytes) -> None:
    world = read_as(mode)
    world.write(INSERTS)
    world.broker.append("in", 0, value("ann", 1.0), [("trace", b"x"), ("op", op)], b"ann")
    assert refusal(world) == (
        f"in [0] at offset 6: header op {op!r} retracts a row, so this is a retract changelog:"
        " run with --changelog-mode retract"
    )
    assert world.labelling() == {}


@pytest.mark.parametrize("mode", OTHERS)
def test_after_a_commit_the_message_asks_for_a_rebuild(mode: str) -> None:
    world = read_as(mode)
    world.write(INSERTS)
    assert world.run() is None
    world.write([Placed(0, Change(Op.UPDATE_BEFORE, ROWS[0]))])
    assert refusal(world).endswith("run with --changelog-mode retract --rebuild")
    world.settings = Settings(**{**vars(BASE), "rebuild": True})
    assert world.run() is None
    assert set(world.labelling()) == {row.user_id for row in ROWS[1:]}


@pytest.mark.parametrize("handling", ["ignore", "log"])
def test_a_retraction_is_not_handled_as_a_bad_record(handling: str) -> None:
    world = read_as("append", error_handling_mode=handling)
    world.write([*INSERTS, Placed(0, Change(Op.DELETE, ROWS[0]))])
    assert "is a retract changelog" in refusal(world)


@pytest.mark.parametrize("option", ["dry_run", "explore_k"])
def test_a_preview_refuses_it_too(option: str) -> None:
    world = read_as("upsert", **{option: True})
    world.write([*INSERTS, Placed(0, Change(Op.DELETE, ROWS[0]))])
    assert "is a retract changelog" in refusal(world)


@pytest.mark.parametrize("mode", OTHERS)
@pytest.mark.parametrize("headers", [[], [("op", b"\0")], [("op", b"\2")], [("op", b"u")], [("kind", b"\1")]])
def test_other_headers_are_accepted(mode: str, headers: Headers) -> None:
    world = read_as(mode)
    world.broker.append("in", 0, value("ann", 1.0), headers, b"ann")
    assert world.run() is None
    assert set(world.labelling()) == {"ann"}


def test_an_upsert_table_deletes_with_a_null_value_whatever_its_header() -> None:
    world = read_as("upsert")
    world.broker.append("in", 0, value("ann", 1.0), [], b"ann")
    world.broker.append("in", 0, value("bob", 1.0), [], b"bob")
    world.broker.append("in", 0, None, [("op", b"\3")], b"ann")
    assert world.run() is None
    assert set(world.labelling()) == {"bob"}


def check_lines(broker: FakeBroker, mode: str) -> list[str]:
    """The lines of --check about records and marks."""
    settings = Settings(schema_registry={}, consumer={}, producer={}, topic="in", output="out", changelog_mode=mode)
    admin = cast(AdminClient, FakeAdmin({"in": [READ], "out": [READ, WRITE]}))
    found = check(
        settings, FakeKafka(settings, admin, admin, broker), as_the_client_sees(FakeRegistry({"in-value": "{}"}))
    )
    return [str(line) for line in found if "topic in, --" in str(line) or "topic in, rows" in str(line)]


@pytest.mark.parametrize("mode", OTHERS)
def test_check_reads_the_last_records(mode: str) -> None:
    world = World(partitions=2)
    world.write([*INSERTS, *INSERTS])
    world.broker.append("in", 0, None, [("op", b"\3")], b"ann")  # a deletion of an upsert table
    assert check_lines(world.broker, mode) == []
    world.write([Placed(1, Change(Op.UPDATE_BEFORE, ROWS[0]))])
    assert check_lines(world.broker, mode) == [
        rf"TO DO   topic in, --changelog-mode {mode}: in [1] at offset 0: header op b'\x01' retracts a row, so this"
        " is a retract changelog; run with --changelog-mode retract"
    ]
    assert check_lines(world.broker, "retract") == []


def test_check_reads_the_last_records_only() -> None:
    world = World()
    world.write([Placed(0, Change(Op.DELETE, ROWS[0])), *INSERTS * 17])
    assert check_lines(world.broker, "append") == []
    assert world.broker.history == []


def test_check_reports_users_with_several_rows() -> None:
    world = World()
    world.write(INSERTS)
    assert check_lines(world.broker, "retract") == [], "nothing was committed yet"
    world.run()
    assert check_lines(world.broker, "retract") == ["ok      topic in, rows per user: one at the last commit"]
    world.write([Placed(0, Change(Op.INSERT, ROWS[0]._replace(total_amount=1.0)))])
    world.run()
    assert check_lines(world.broker, "retract") == [
        "TO DO   topic in, rows per user: 1 user has more than one row, of which the newest counts; the others were"
        " never retracted, e.g. because a statement was deleted and created again, or a writer repeats changes; to fix"
        " it: recreate in and the statements that write it, then run with --rebuild"
    ]
