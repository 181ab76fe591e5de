"""Records that are valid and unusual: they are labelled like any other."""

import random

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.hostile.records import ODD_SCHEMA_ROWS, Bad, Schemas, columns, encoded, odd_records, odd_rows
from tests.support import configuration, inside, oracle
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.pipeline import Pipeline
from tests.support.wire import AGGREGATE_SCHEMA, body, frame, record_schema

MEGABYTES_10 = 10_000_000
MAX_BYTES = 11_000_000
PREFIX = "user_classifier.py: error: "
ANN = {"user_id": "ann", "total_amount": 1.0, "num_transactions": 1}


@pytest.mark.parametrize("avro_key", [False, True], ids=["raw key", "Avro key"])
def test_odd_rows_are_labelled_kept_and_deleted(avro_key: bool, pipeline: Pipeline) -> None:
    if avro_key:
        pipeline.make_output_with_avro_keys()
    rows = [Row(user_id, *row) for user_id, row in odd_rows().items()]
    pipeline.write([Placed(0, Change(Op.INSERT, row)) for row in rows])
    inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == oracle.labelled(Change(Op.INSERT, row) for row in rows)
    emitted = len(pipeline.emitted())
    assert "9 users restored" in inside.run_to_end(pipeline.arguments()).output
    assert len(pipeline.emitted()) == emitted
    pipeline.write([Placed(0, Change(Op.DELETE, row)) for row in rows])
    inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == {}
    assert pipeline.pending() == {}


def test_odd_schemas(pipeline: Pipeline) -> None:
    pipeline.topics.write(pipeline.source, odd_records(Schemas(pipeline)))
    inside.run_to_end(pipeline.arguments())
    changes = [Change(Op.INSERT, Row(user_id, *row)) for user_id, row in ODD_SCHEMA_ROWS.items()]
    assert pipeline.labelling() == oracle.labelled(changes)


def test_zero_and_minus_zero_are_one_amount(pipeline: Pipeline) -> None:
    pipeline.write(
        [
            Placed(0, Change(Op.INSERT, Row("ann", 0.0, 1))),
            Placed(0, Change(Op.UPDATE_BEFORE, Row("ann", -0.0, 1))),
            Placed(0, Change(Op.UPDATE_AFTER, Row("ann", 5.0, 2))),
        ]
    )
    inside.run_to_end(pipeline.arguments())
    assert {user: row[1:3] for user, row in pipeline.labelling().items()} == {"ann": (5.0, 2)}
    assert pipeline.pending() == {}


def test_many_equal_and_huge_rows(pipeline: Pipeline) -> None:
    rows = [Row(f"User_{number}", 1e150, 2**63 - 1) for number in range(7)]
    pipeline.write([Placed(0, Change(Op.INSERT, row)) for row in rows])
    inside.run_to_end(pipeline.arguments())
    found = pipeline.labelling()
    assert [found[row.user_id][1:3] for row in rows] == [row[1:] for row in rows]
    assert {row.label for row in found.values()} <= {0, 1, 2}


@pytest.fixture
def wide(pipeline: Pipeline) -> Pipeline:
    """A pipeline whose input has records of 10 MB: two bad ones and a valid one."""
    pipeline.source += "_wide"
    pipeline.topics.create(pipeline.source, 1, {"max.message.bytes": str(MAX_BYTES)})
    producer = Producer({"bootstrap.servers": pipeline.topics.bootstrap_servers, "message.max.bytes": MAX_BYTES})
    for value in (*(bad.value for bad in wide_bad(pipeline)), wide_good(pipeline)):
        producer.produce(pipeline.source, value, partition=0)
    assert producer.flush(30.0) == 0
    return pipeline


def wide_bad(pipeline: Pipeline) -> list[Bad]:
    """Values of 10 MB that are no rows."""
    noise = b"\xff" + random.Random(1).randbytes(MEGABYTES_10)
    name = frame(pipeline.schema_id, body(AGGREGATE_SCHEMA, {**ANN, "user_id": "x" * MEGABYTES_10}))
    return [
        Bad(noise, "not Confluent Avro (first byte 0xff)"),
        Bad(name, f"user_id must have at most 100000 characters, got {MEGABYTES_10}"),
    ]


def wide_good(pipeline: Pipeline) -> bytes:
    """A row with another field of 10 MB."""
    schema = record_schema("wide", user_id="string", total_amount="double", num_transactions="long", ballast="bytes")
    schema_id = pipeline.subjects.register(f"{pipeline.source}-value", schema)
    return frame(schema_id, encoded(schema, {**ANN, "ballast": bytes(MEGABYTES_10)}))


def test_ten_megabytes(wide: Pipeline) -> None:
    finished = inside.run_to_end(wide.arguments("--error-handling-mode", "ignore"))
    assert len(finished.output) < 10_000
    assert {user: row[1:3] for user, row in wide.labelling().items()} == {"ann": (1.0, 1)}


def test_ten_megabytes_as_dead_letters(wide: Pipeline) -> None:
    target = f"{wide.source}_errors"
    wide.topics.create(target, 1, {"max.message.bytes": "1000000"})
    arguments = wide.arguments("--error-handling-mode", "log", "--error-handling-log-target", target)
    narrow_client = inside.run([*arguments, "--until-end"])
    wide.sections["producer"]["message.max.bytes"] = str(MAX_BYTES)
    configuration.write(wide.file, wide.sections)
    narrow_topic = inside.run([*arguments, "--until-end"])
    advice = "; raise message.max.bytes in [producer] and max.message.bytes of the topic\n"
    for failed in (narrow_client, narrow_topic):
        assert failed.code == 1
        assert failed.stderr.split(PREFIX)[1].startswith(f"cannot write topic {target}: ")
        assert failed.stderr.endswith(advice)
        # librdkafka may keep records queued after a refused one until the transaction times out.
        assert "accepts no records" not in failed.output
    assert wide.offsets() == {}
    widen(wide, target)
    inside.run_to_end(arguments)
    assert [record.value for record in wide.topics.read(target)] == [bad.value for bad in wide_bad(wide)]


def test_a_record_is_refused_while_others_are_produced(pipeline: Pipeline) -> None:
    target = f"{pipeline.source}_errors"
    pipeline.topics.create(target, 1, {"max.message.bytes": "1000"})
    pipeline.topics.write(pipeline.source, [Bad(b"\xff" * 9_000, "").outgoing()] * 3000)
    mode = ("--error-handling-mode", "log", "--error-handling-log-target", target)
    failed = inside.run(pipeline.arguments("--until-end", *mode))
    assert failed.code == 1
    assert failed.stderr.split(PREFIX)[1].startswith(f"cannot write topic {target}: ")
    assert "MSG_SIZE_TOO_LARGE" in failed.stderr


def widen(pipeline: Pipeline, topic: str) -> None:
    """Allow records of 10 MB in a topic."""
    admin = AdminClient({"bootstrap.servers": pipeline.topics.bootstrap_servers})
    entry = ConfigEntry("max.message.bytes", str(MAX_BYTES), incremental_operation=AlterConfigOpType.SET)
    wider = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([wider])[wider].result(30.0)


def test_messages_stay_short(pipeline: Pipeline) -> None:
    long = "x" * 400_000
    schemas = Schemas(pipeline)
    bad = [
        Bad(frame(pipeline.schema_id, body(AGGREGATE_SCHEMA, ANN)), "", [("op", long.encode())]),
        Bad(schemas.value(columns(total_amount="string"), {**ANN, "total_amount": long}), ""),
        Bad(schemas.value(columns(num_transactions="string"), {**ANN, "num_transactions": long}), ""),
        Bad(schemas.value(columns(user_id="bytes"), {**ANN, "user_id": long.encode()}), ""),
    ]
    target = f"{pipeline.source}_errors"
    pipeline.topics.create(target)
    pipeline.topics.write(pipeline.source, [each.outgoing() for each in bad])
    mode = ("--error-handling-mode", "log", "--error-handling-log-target", target)
    assert len(inside.run_to_end(pipeline.arguments(*mode)).output) < 10_000
    causes = [dict(record.headers)["__streams.errors.message"] for record in pipeline.topics.read(target)]
    assert len(causes) == len(bad)
    assert max(len(cause or b"") for cause in causes) < 300
