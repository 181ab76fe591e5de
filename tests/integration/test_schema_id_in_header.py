"""Records with the schema id in a header, as Confluent's serializers can write it since 8.1."""

import uuid

import pytest

from tests.support import inside, oracle
from tests.support.changelog import Change, Op, Row, aggregation, place_by_hash
from tests.support.pipeline import Pipeline
from tests.support.registry_proxy import RegistryProxy
from tests.support.topics import Outgoing
from tests.support.wire import AGGREGATE_SCHEMA, KEY_SCHEMA, Headers, body, frame

VALUE_ID = "__value_schema_id"
KEY_ID = "__key_schema_id"
ANN = Row("ann", 1.5, 2)
BOB = Row("bob", 2.5, 3)
PREFIX = (
    "set value.schema.id.serializer (and key.schema.id.serializer) of the producer to"
    " io.confluent.kafka.serializers.schema.id."
)


def guid(schema_id: int) -> bytes:
    """The GUID of a schema, as in the header."""
    return b"\1" + uuid.UUID(int=schema_id).bytes


def moved(record: Outgoing) -> Outgoing:
    """The record with its schema id in a header, before the others or after them."""
    value = record.value or b""
    header: Headers = [(VALUE_ID, guid(int.from_bytes(value[1:5], "big")))]
    headers = header + record.headers if len(value) % 2 else record.headers + header
    return record._replace(value=value[5:], headers=headers)


def test_a_retract_changelog(pipeline: Pipeline) -> None:
    changes = aggregation(seed=3, n_users=12, n_transactions=60)
    records = pipeline.outgoing(place_by_hash(changes, 1))
    # Some unchanged, as by another writer.
    pipeline.topics.write(pipeline.source, [moved(each) if at % 3 else each for at, each in enumerate(records)])
    with RegistryProxy(pipeline.subjects.url) as registry:
        pipeline.configure("schema_registry", url=registry.url)
        inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == oracle.labelled(changes)
    assert pipeline.pending() == {}


def test_the_same_bytes_of_two_schemas_do_not_cancel(pipeline: Pipeline) -> None:
    """The header belongs to the record: another schema gives the same bytes another meaning."""
    turned = {**AGGREGATE_SCHEMA, "name": "turned"}
    other = pipeline.subjects.register(f"{pipeline.source}-turned", turned)
    same = body(AGGREGATE_SCHEMA, ANN._asdict())
    added = Outgoing(0, same, [(VALUE_ID, guid(pipeline.schema_id))])
    unknown = Outgoing(0, same, [(VALUE_ID, guid(9_999_999)), ("op", bytes([Op.DELETE]))])
    as_id = Outgoing(0, same, [(VALUE_ID, frame(other, b"")), ("op", bytes([Op.UPDATE_AFTER]))])
    pipeline.topics.write(pipeline.source, [added, unknown, as_id])
    with RegistryProxy(pipeline.subjects.url) as registry:
        pipeline.configure("schema_registry", url=registry.url)
        finished = inside.run_to_end(pipeline.arguments("--error-handling-mode", "ignore"))
    assert f"1 records cannot be read (mode ignore), the first: {pipeline.source} [0] at offset 1: " in finished.stderr
    assert f"schema guid {uuid.UUID(int=9_999_999)} is not in the Schema Registry" in finished.stderr
    assert pipeline.pending() == {"ann": [[1.5, 2, 1]]}


def test_an_upsert_input(pipeline: Pipeline) -> None:
    key_id = pipeline.subjects.register(f"{pipeline.source}-key", KEY_SCHEMA)
    (ann, bob) = (
        moved(each) for each in pipeline.outgoing(place_by_hash([Change(Op.INSERT, ANN), Change(Op.INSERT, BOB)], 1))
    )
    deleted = Outgoing(0, None, [(KEY_ID, guid(key_id))], body(KEY_SCHEMA, {"user_id": "ann"}))
    pipeline.topics.write(pipeline.source, [ann, bob, deleted])
    with RegistryProxy(pipeline.subjects.url) as registry:
        pipeline.configure("schema_registry", url=registry.url)
        inside.run_to_end(pipeline.arguments("--changelog-mode", "upsert"))
    assert {user: row[1:3] for user, row in pipeline.labelling().items()} == {"bob": (2.5, 3)}


def test_a_registry_that_knows_no_guids(pipeline: Pipeline) -> None:
    pipeline.topics.write(pipeline.source, map(moved, pipeline.outgoing(place_by_hash([Change(Op.INSERT, ANN)], 1))))
    finished = inside.run(pipeline.arguments("--until-end"))
    assert finished.stderr.splitlines()[-1] == (
        f"user_classifier.py: error: {pipeline.source} [0] at offset 0: schema guid"
        f" {uuid.UUID(int=pipeline.schema_id)} is not in the Schema Registry; to put the id into the value,"
        f" {PREFIX}PrefixSchemaIdSerializer; to skip such records: --error-handling-mode ignore, to keep them: log"
    )


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ([(VALUE_ID, b"")], "[b'']"),
        ([(VALUE_ID, None)], "[None]"),
        ([(VALUE_ID, b"\1short")], r"[b'\x01short']"),
        ([(VALUE_ID, b"\2" + bytes(16))], r"[b'\x02\x00\x0...0\x00\x00\x00']"),
        ([(VALUE_ID, b"\0\0\0\0\1")] * 2, r"[b'\x00\x00\x00\x00\x01', b'\x00\x00\x00\x00\x01']"),
    ],
)
def test_an_invalid_header(headers: Headers, shown: str, pipeline: Pipeline) -> None:
    pipeline.topics.write(pipeline.source, [Outgoing(0, body(AGGREGATE_SCHEMA, ANN._asdict()), headers)])
    finished = inside.run(pipeline.arguments("--until-end"))
    assert finished.stderr.splitlines()[-1] == (
        f"user_classifier.py: error: {pipeline.source} [0] at offset 0: header {VALUE_ID} must be byte 1 and a"
        f" schema's GUID, or byte 0 and its id, got {shown}; to skip such records: --error-handling-mode ignore,"
        " to keep them: log"
    )
