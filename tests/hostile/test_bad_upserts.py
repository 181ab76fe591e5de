"""Records of an upsert table that cannot be read."""

from tests.hostile.records import Bad
from tests.support import inside
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.pipeline import Pipeline
from tests.support.wire import AGGREGATE_SCHEMA, KEY_SCHEMA, body, frame

ANN = Row("ann", 1.0, 1)
UPSERT = ("--changelog-mode", "upsert", "--error-handling-mode", "log", "--error-handling-log-target")


def causes(pipeline: Pipeline, bad: list[Bad]) -> list[str]:
    """Write bad records after a valid one, run, and return the cause in each dead letter."""
    target = f"{pipeline.source}_errors"
    pipeline.topics.create(target)
    (good,) = pipeline.outgoing([Placed(0, Change(Op.INSERT, ANN))])
    pipeline.topics.write(pipeline.source, [good._replace(key=b"ann"), *(each.outgoing() for each in bad)])
    inside.run_to_end(pipeline.arguments(*UPSERT, target))
    letters = pipeline.topics.read(target)
    assert [(letter.key, letter.value) for letter in letters] == [(each.key, each.value) for each in bad]
    found = [text for letter in letters for name, text in letter.headers if name == "__streams.errors.message"]
    return [text.decode() for text in found if isinstance(text, bytes)]


def test_plain_keys(pipeline: Pipeline) -> None:
    bad = [
        Bad(None, "key b'\\xff\\xfe' does not name a user_id", [], b"\xff\xfe"),
        Bad(None, "no key and no value", [], None),
        Bad(b"{}", "not Confluent Avro (first byte 0x7b)", [], b"ann"),
    ]
    assert causes(pipeline, bad) == [each.cause for each in bad]
    assert {user: row[1:3] for user, row in pipeline.labelling().items()} == {"ann": (1.0, 1)}


def test_avro_keys(pipeline: Pipeline) -> None:
    key_id = pipeline.subjects.register(f"{pipeline.source}-key", KEY_SCHEMA)
    key = frame(key_id, body(KEY_SCHEMA, {"user_id": "ann"}))
    value = frame(pipeline.schema_id, body(AGGREGATE_SCHEMA, ANN._asdict()))
    bad = [
        Bad(None, "does not name a user_id (not Confluent Avro (first byte 0x61))", [], b"ann"),
        Bad(None, f"does not name a user_id (does not match its schema id {key_id})", [], key[:-1]),
        Bad(None, f"does not name a user_id (1 bytes too many for its schema id {key_id})", [], key + b"\0"),
        Bad(value[:-1], f"does not match its schema id {pipeline.schema_id}", [], key),
    ]
    found = causes(pipeline, bad)
    # The key is shortened in the message.
    assert [cause.split("' ")[-1] for cause in found] == [each.cause for each in bad]
    assert all(cause.startswith("key b'") for cause in found[:3])
    assert {user: row[1:3] for user, row in pipeline.labelling().items()} == {"ann": (1.0, 1)}
