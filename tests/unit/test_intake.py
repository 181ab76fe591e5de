"""Records that cannot be read are reported or kept once, and no good one is lost; wrong changelog modes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.config.settings import Settings
from classifier.errors import RecordError, StateError
from tests.support import oracle
from tests.support.strategies import changelogs, placements
from tests.support.wire import AGGREGATE_SCHEMA, Headers, body, frame
from tests.support.world import BASE, INSERTS, World, aborts, accidents


def test_a_bad_record_stops_the_client_before_its_offset_or_is_kept() -> None:
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
    """Bad records anywhere between good ones, some of them equal; any batches and accidents.

    No bad record retracts another: such a pair cancels before it is decoded.
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
    """Records that are bad by their headers are not found again by their values."""
    world = World(error_handling_mode="log", batch_size=len(BAD))
    for value, headers in BAD:
        world.broker.append("in", 0, value, headers, None)
    assert world.run() is None
    kept = [dict(letter.headers() or []) for letter in world.broker.logs["error_log"][0]]
    assert [int(each["__streams.errors.offset"] or -1) for each in kept] == list(range(len(BAD)))


@pytest.mark.parametrize("headers", [[], [("traceparent", b"00")]])
@pytest.mark.parametrize("batch_size", [None, 1])
def test_rows_that_are_never_retracted_are_not_a_retract_changelog(batch_size: int | None, headers: Headers) -> None:
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
