"""The output as state: records are read as they were written, and foreign records are refused."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.config.settings import Settings
from classifier.errors import StateError
from classifier.kafka import source
from classifier.kafka.source import Source
from classifier.serialization.avro import AvroReader
from classifier.stop import StopRequest
from classifier.users import output
from classifier.users.multiset import Multiset
from classifier.users.output import label_records, read_labels
from classifier.users.output_codec import KeyCodec, LabelCodec
from classifier.users.table import LabelledUsers
from tests.support.fakes import FakeBroker, FakeConsumer, FakeMessage, FakeProducer
from tests.support.memory import KafkaInMemory, registry_of
from tests.support.user_states import UserState, states_read
from tests.support.wire import KEY_SCHEMA, LABELING_SCHEMA

OTHER = "choose another output with -o and its own group with -g, or recreate the topic and run with --rebuild"
NOT_OURS = "not written by user_classifier"
SETTINGS = Settings(schema_registry={}, consumer={"bootstrap.servers": "host:9092"}, producer={})


def codecs(avro_key: bool) -> tuple[KeyCodec, LabelCodec]:
    """The codecs of topic out."""
    subjects = {"out__value": LABELING_SCHEMA, **({"out__key": KEY_SCHEMA} if avro_key else {})}
    registry = registry_of(**subjects)
    return KeyCodec(registry, "out"), LabelCodec(registry, "out")


def read_back(broker: FakeBroker, avro_key: bool, seed: int = 0) -> LabelledUsers:
    """The content of topic out as a start reads it."""
    kafka = KafkaInMemory(SETTINGS, StopRequest(), FakeConsumer(broker, seed), FakeProducer(broker))
    source = Source(kafka, kafka.consumer(), "out", dict.fromkeys(range(len(broker.logs["out"])), 0))
    return read_labels(source, *codecs(avro_key), StopRequest())


rows = st.tuples(st.floats(0, 1e150), st.integers(0, 2**63 - 1))
pending = st.dictionaries(rows, st.integers(-3, 3).filter(bool), max_size=3)
names = st.one_of(st.sampled_from("ab"), st.text(max_size=4))
present = st.builds(UserState, names, rows, st.integers(0, 5), pending)
deleted = st.builds(UserState, names, st.none(), st.just(-1), pending)


@given(st.lists(st.one_of(present, deleted), max_size=12), st.booleans(), st.integers(1, 3), st.integers(0, 9))
def test_records_are_read_as_they_were_written(
    changes: list[UserState], avro_key: bool, partitions: int, seed: int
) -> None:
    """Rows, labels, tombstones and pending rows; the last record of each user counts."""
    broker = FakeBroker(out=partitions)
    for topic, key, value, headers in label_records(changes, *codecs(avro_key), "out"):
        broker.append(topic, sum(key or b"") % partitions, value, headers or [], key)
    for block in (1, 20_000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(source, "LABELS_PER_DECODE", block)
            patch.setattr(source, "MAX_POLL_RECORDS", 2)
            patch.setattr(output, "COMPACT_ABOVE", block)
            found = {change.user_id: change for change in states_read(read_back(broker, avro_key, seed))}
        assert found == {change.user_id: change for change in changes}


def test_only_the_last_label_of_a_user_is_decoded() -> None:
    broker, (keys, values) = FakeBroker(out=1), codecs(False)
    for count in range(50):
        for _, key, value, _ in label_records([UserState("ann", (1.0, count), 0, {})], keys, values, "out"):
            broker.append("out", 0, value, [], key)
    decoded: list[bytes] = []

    def noted(some: Sequence[bytes]) -> Sequence[bytes]:
        decoded.extend(some)
        return some

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "MAX_POLL_RECORDS", 3)
        all_fields = AvroReader.all_fields
        patch.setattr(AvroReader, "all_fields", lambda reader, some: all_fields(reader, noted(some)))
        assert states_read(read_back(broker, False)) == [UserState("ann", (1.0, 49), 0, {})]
    assert len(decoded) == 2  # one of them is the sample with which a codec tests its schema


@pytest.mark.parametrize("compact_above", [0, 1_000])
def test_a_rebuild_takes_users_whose_values_cannot_be_read_from_their_keys(
    compact_above: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last record of each user counts, as for all others."""
    monkeypatch.setattr(output, "COMPACT_ABOVE", compact_above)
    registry = registry_of(out__value=LABELING_SCHEMA)
    keys, old = KeyCodec(registry, "out"), LabelCodec(registry, "out")
    cast(Any, registry).delete_permanently("out-value")
    new = LabelCodec(registry, "out")
    row = (1.0, 1)
    rows: Multiset = {(2.0, 2): 1}
    log = output.LabelLog(rebuild=True)
    for codec, names, shown in ((old, "abcd", row), (new, "abe", row), (old, "ae", row), (old, "b", None)):
        changes = [UserState(name, shown, 0 if shown else -1, rows) for name in names]
        for number, (_, key, value, headers) in enumerate(label_records(changes, keys, codec, "out")):
            log.take({key: FakeMessage(("out", 0, number), value, headers, key)}, keys, new)
    found = log.last()
    assert found.unreadable == set("acde")
    assert (found.user_ids, found.pending) == ([], {"b": rows})


def test_old_labels_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic that is not compacted yet has many records of each user."""
    broker, (keys, values) = FakeBroker(out=1), codecs(False)
    for count in range(50):
        for _, key, value, _ in label_records(
            [UserState(name, (1.0, count), 0, {}) for name in "abc"], keys, values, "out"
        ):
            broker.append("out", 0, value, [], key)
    held = list[int]()
    take = output.LabelLog.take

    def counted(labels: output.LabelLog, *arguments: Any) -> None:
        take(labels, *arguments)
        held.append(len(labels))

    for module, name, number in (
        (source, "LABELS_PER_DECODE", 1),
        (source, "MAX_POLL_RECORDS", 3),
        (output, "COMPACT_ABOVE", 4),
        (output, "SAMPLED", 1),
    ):
        monkeypatch.setattr(module, name, number)
    monkeypatch.setattr(output.LabelLog, "take", counted)
    assert states_read(read_back(broker, False)) == [UserState(name, (1.0, 49), 0, {}) for name in "abc"]
    assert len(held) > 9
    assert max(held) <= 4 + 2 * 3


def test_pending_rows_keep_their_order() -> None:
    change = UserState("ann", (1.0, 1), 0, {(3.0, 3): 1, (2.0, 2): -1})
    ((_, _, _, headers),) = label_records([change], *codecs(False), "out")
    assert headers == [("pending", b"[[3.0, 3, 1], [2.0, 2, -1]]")]


@pytest.mark.parametrize(
    ("key", "value", "headers", "message"),
    [
        (None, None, [], f"out [0] at offset 0: {NOT_OURS} (no key); {OTHER}"),
        (
            b"\xff",
            None,
            [],
            rf"out [0] at offset 0: {NOT_OURS} (key b'\xff' does not name a user_id); {OTHER}",
        ),
        (b"ann", b"{}", [], f"out [0] at offset 0: {NOT_OURS} (not Confluent Avro (first byte 0x7b)); {OTHER}"),
    ],
)
def test_foreign_records_are_refused(key: bytes, value: bytes, headers: list[tuple[str, bytes]], message: str) -> None:
    broker = FakeBroker(out=1)
    broker.append("out", 0, value, [*headers], key)
    with pytest.raises(StateError) as caught:
        read_back(broker, avro_key=False)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "header",
    [b"x", b"[1]", b"[[1, 2]]", b'[["a", 1, 1]]', b"null", b"\xff", b"[[1, 1e999, 1]]", b"[" * 9999],
    ids=lambda header: repr(header[:20]),
)
def test_foreign_pending_headers_are_refused(header: bytes) -> None:
    broker = FakeBroker(out=1)
    broker.append("out", 0, None, [("pending", header)], b"ann")
    with pytest.raises(StateError, match=r"^out \[0\] at offset 0: not written by user_classifier \("):
        read_back(broker, avro_key=False)
