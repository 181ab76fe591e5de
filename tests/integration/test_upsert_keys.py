"""Keys of upsert inputs as Kafka Streams, ksqlDB, Connect and Flink write them."""

from typing import Any

import pytest

from tests.support import inside
from tests.support.pipeline import Pipeline
from tests.support.topics import Outgoing
from tests.support.wire import AGGREGATE_SCHEMA, body, frame, record_schema

UPSERT = ("--changelog-mode", "upsert")
NUMBERS = record_schema("numbers", user_id="long", total_amount="double", num_transactions="long")


def labelled_after_delete(pipeline: Pipeline, value_schema: Any, users: list[Any], key: bytes) -> dict[str, Any]:
    """Write these users, and a tombstone with the key of the first one; return the labelled users."""
    schema_id = pipeline.subjects.register(f"{pipeline.source}-value", value_schema)
    rows = [{"user_id": user_id, "total_amount": 1.5, "num_transactions": 2} for user_id in users]
    values = [Outgoing(0, frame(schema_id, body(value_schema, row)), [], b"unread") for row in rows]
    pipeline.topics.write(pipeline.source, [*values, Outgoing(0, None, [], key)])
    inside.run_to_end(pipeline.arguments(*UPSERT))
    return dict(pipeline.labelling())


@pytest.mark.parametrize("schema", ["string", ["null", "string"], {"type": "string", "logicalType": "uuid"}])
def test_a_string_as_the_key(schema: Any, pipeline: Pipeline) -> None:
    key_id = pipeline.subjects.register(f"{pipeline.source}-key", schema)
    key = frame(key_id, (b"\2" if isinstance(schema, list) else b"") + body("string", "ann"))
    assert set(labelled_after_delete(pipeline, AGGREGATE_SCHEMA, ["ann", "bob"], key)) == {"bob"}


def test_a_number_as_the_key(pipeline: Pipeline) -> None:
    key_id = pipeline.subjects.register(f"{pipeline.source}-key", "long")
    assert set(labelled_after_delete(pipeline, NUMBERS, [7, 8], frame(key_id, body("long", 7)))) == {"8"}


def test_a_number_as_digits(pipeline: Pipeline) -> None:
    assert set(labelled_after_delete(pipeline, NUMBERS, [7, 8], b"7")) == {"8"}
    checked = inside.run(pipeline.arguments("--check", *UPSERT))
    line = f"ok      subject {pipeline.source}-key: none: keys are plain user_ids as digits"
    assert line in checked.stdout.splitlines()


def test_an_avro_key_under_another_subject(pipeline: Pipeline) -> None:
    """With RecordNameStrategy no subject has the name of the topic; the key still has its schema id."""
    key_id = pipeline.subjects.register(f"{pipeline.source}.UserKey", "string")
    assert set(labelled_after_delete(pipeline, AGGREGATE_SCHEMA, ["ann", "bob"], frame(key_id, b"\6ann"))) == {"bob"}


@pytest.mark.parametrize("schema", ["string", "long", None])
def test_check_reads_the_key_of_an_upsert_input_only(schema: Any, pipeline: Pipeline) -> None:
    if schema:
        pipeline.subjects.register(f"{pipeline.source}-key", schema)
    line = f"ok      subject {pipeline.source}-key: {'fits' if schema else 'none: keys are plain user_ids'}"
    assert line in inside.run(pipeline.arguments("--check", *UPSERT)).stdout.splitlines()
    assert f"subject {pipeline.source}-key" not in inside.run(pipeline.arguments("--check")).stdout


def test_a_key_without_a_user_id(pipeline: Pipeline) -> None:
    """As of windows: a tombstone would delete a user who has rows in other windows."""
    fields = [{"name": "user_id", "type": "string"}, {"name": "window_start", "type": "long"}]
    pipeline.subjects.register(f"{pipeline.source}-key", {"type": "record", "name": "windowed", "fields": fields})
    line = (
        "names no user_id (a record of user_id, window_start); if no record of the topic deletes,"
        " --changelog-mode append reads it without its keys"
    )
    checked = inside.run(pipeline.arguments("--check", *UPSERT))
    assert f"TO DO   subject {pipeline.source}-key: {line}" in checked.stdout.splitlines()
    finished = inside.run(pipeline.arguments("--until-end", *UPSERT))
    assert finished.stderr == f"user_classifier.py: error: subject {pipeline.source}-key {line}\n"
