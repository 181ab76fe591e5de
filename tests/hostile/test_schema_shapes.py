"""Any schema that a registry may have is read or reported: by a run for each record, by --check for each subject."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from classifier.commands import check
from classifier.config.settings import Settings
from classifier.kafka.client import Kafka
from classifier.serialization.registry import ReadOnlyRegistry
from classifier.stop import StopRequest
from tests.hostile.records import COLUMNS, encoded
from tests.support import inside
from tests.support.pipeline import Pipeline, Services
from tests.support.topics import Outgoing
from tests.support.wire import KEY_SCHEMA, LABELING_SCHEMA, NAMESPACE, frame

FIELDS = [{"name": name, "type": kind} for name, kind in COLUMNS.items()]
ROW = {"total_amount": 1.5, "num_transactions": 2}
PLAIN: dict[str, Any] = {"type": "record", "name": "row", "namespace": NAMESPACE, "fields": FIELDS}
OTHER = {"type": "record", "name": "other", "namespace": NAMESPACE, "fields": [{"name": "x", "type": "string"}]}


def more(kind: Any, **rest: Any) -> dict[str, Any]:
    """The columns of the input and another one."""
    return {**PLAIN, "fields": [*FIELDS, {"name": "more", "type": kind, **rest}]}


def records_in_records(depth: int) -> Any:
    """A record of two records of two records ...: many and empty ones."""
    kind: Any = "null"
    for level in range(depth):
        fields = [
            {"name": "left", "type": kind},
            {"name": "right", "type": kind if level == 0 else f"level{level - 1}"},
        ]
        kind = {"type": "record", "name": f"level{level}", "fields": fields}
    return kind


def arrays(depth: int) -> Any:
    """Arrays in arrays."""
    return json.loads('{"type": "array", "items": ' * depth + '"int"' + "}" * depth)


HUGE = {"type": ["null", {"type": "long", "logicalType": "timestamp-millis"}], "doc": "d" * 30, "default": None}


def logical(base: str, kind: str, **more: Any) -> dict[str, Any]:
    """The schema of a logical type."""
    return {"type": base, "logicalType": kind, **more}


# A type, and a value of its base type that Python cannot hold as the logical type, or hardly can.
ODD_FIELDS: dict[str, tuple[Any, Any]] = {
    "date of the year 10000": (logical("int", "date"), 2_932_897),
    "date before Christ": (logical("int", "date"), -800_000),
    "timestamp of the year 300000": (logical("long", "timestamp-millis"), 9_400_000_000_000_000),
    "timestamp of the last long": (logical("long", "timestamp-micros"), 2**63 - 1),
    "local timestamp": (logical("long", "local-timestamp-millis"), -(2**63)),
    "nanoseconds": (logical("long", "timestamp-nanos"), 2**63 - 1),
    "24:00:00": (logical("int", "time-millis"), 86_400_000),
    "24:00:00 in microseconds": (logical("long", "time-micros"), 86_400_000_000),
    "a time before midnight": (logical("int", "time-millis"), -1),
    "uuid that is none": (logical("string", "uuid"), "s-1"),
    "decimal of no bytes": (logical("bytes", "decimal", precision=10, scale=2), b""),
    "decimal of too many digits": (logical("bytes", "decimal", precision=2, scale=1), b"\x7f" * 300),
    "fixed decimal": (logical("fixed", "decimal", name="d", size=9, precision=20, scale=20), b"\xff" * 9),
    "duration": (logical("fixed", "duration", name="t", size=12), b"\xff" * 12),
    "text that is no UTF-8": ("string", "\ud800"),
    "optional": (["null", logical("int", "date")], 2_932_897),
    "in an array": ({"type": "array", "items": logical("string", "uuid")}, ["s-1", ""]),
    "in a map": ({"type": "map", "values": logical("int", "date")}, {"x": 2_932_897}),
    "in a record": (
        {"type": "record", "name": "in", "fields": [{"name": "a", "type": logical("int", "date")}]},
        {"a": -(2**31)},
    ),
}


# A schema, and what its value holds in addition to a row.
READ: dict[str, tuple[Any, dict[str, Any]]] = {
    "a union with null": (["null", PLAIN], {}),
    "a union with null behind": ([PLAIN, "null"], {}),
    "a union of records": ([OTHER, PLAIN], {}),
    "no namespace": ({"type": "record", "name": "row", "fields": FIELDS}, {}),
    "an empty namespace": ({**PLAIN, "namespace": ""}, {}),
    "a name with dots": ({"type": "record", "name": f"{NAMESPACE}.dotted", "fields": FIELDS}, {}),
    "aliases": ({**PLAIN, "aliases": ["old"], "fields": [{**each, "aliases": ["was"]} for each in FIELDS]}, {}),
    "an error": ({**PLAIN, "type": "error"}, {}),
    "types with attributes": (
        {
            **PLAIN,
            "fields": [{**each, "type": {"type": each["type"], "avro.java.string": "String"}} for each in FIELDS],
        },
        {},
    ),
    "a field of letters": ({**PLAIN, "fields": [*FIELDS, {"name": "größe", "type": "int"}]}, {"größe": 1}),
    "a whole default of a double": (more({"type": "double"}, default=0), {"more": 1.0}),
    "a decimal that is none": (
        more({"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 5}),
        {"more": b"1"},
    ),
    "a decimal without precision": (more({"type": "bytes", "logicalType": "decimal"}), {"more": b"1"}),
    "a logical type of one's own": (more({"type": "string", "logicalType": "mine"}), {"more": "x"}),
    "a fixed of nothing": (more({"type": "fixed", "name": "nil", "size": 0}), {"more": b""}),
    "arrays in arrays": (more(arrays(300)), {"more": []}),
    "records without a byte": (more(records_in_records(18)), {}),
    "ten thousand fields": ({**PLAIN, "fields": [*FIELDS, *({**HUGE, "name": f"f{at}"} for at in range(10_000))]}, {}),
}
# A schema, a value of it, and the message.
NAMED: dict[str, tuple[Any, Any, str]] = {
    **{
        kind: (kind, value, "{id} is not a record schema")
        for kind, value in [
            ("null", None),
            ("boolean", True),
            ("int", 1),
            ("long", 1),
            ("float", 1.0),
            ("double", 1.0),
            ("bytes", b"x"),
            ("string", "x"),
        ]
    },
    "enum": ({"type": "enum", "name": "e", "symbols": ["A"]}, "A", "{id} is not a record schema"),
    "fixed": ({"type": "fixed", "name": "f", "size": 4}, b"four", "{id} is not a record schema"),
    "array": ({"type": "array", "items": PLAIN}, [], "{id} is not a record schema"),
    "map": (
        {"type": "map", "values": ["string", "double", "long"]},
        {"user_id": "mapped", **ROW},
        "{id} is not a record schema",
    ),
    "union of primitives": (["null", "string"], "x", "{id} is not a record schema"),
    "null of a union": (["null", PLAIN], None, "{id} is not a record schema"),
    "other record of a union": ([PLAIN, OTHER], {"x": "x"}, "has no field 'user_id'"),
    "union of nothing": ([], None, "{id} is not a usable Avro schema (an empty union)"),
    "recursive": (
        more({"type": "record", "name": "node", "fields": [{"name": "next", "type": ["null", "node"]}]}),
        None,
        f"{{id}} is not a usable Avro schema ({NAMESPACE}.node is recursive)",
    ),
    "too deep": (more(arrays(900)), None, "{id} is not a usable Avro schema (nested too deep)"),
}


def written_as(schema: Any) -> Any:
    """A schema of the same bytes for a writer that is choosier about schemas than a registry."""
    if isinstance(schema, list):
        return [written_as(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = {"default", "logicalType"}
    kept = {name: written_as(each) for name, each in schema.items() if name not in dropped}
    without_a_byte = isinstance(schema.get("type"), dict) and str(schema["type"].get("name")).startswith("level")
    return {**kept, "type": "null"} if without_a_byte else kept


def test_a_run_reads_it(pipeline: Pipeline) -> None:
    records = []
    for user_id, (schema, held) in READ.items():
        schema_id = pipeline.subjects.register(f"{pipeline.source}-{user_id}", schema)
        value = frame(schema_id, encoded(written_as(schema), {"user_id": user_id, **ROW, **held}))
        records.append(Outgoing(0, value, []))
    pipeline.topics.write(pipeline.source, records)
    inside.run_to_end(pipeline.arguments())
    assert {user: row[1:3] for user, row in pipeline.labelling().items()} == dict.fromkeys(READ, (1.5, 2))


def bare(schema: Any) -> Any:
    """The schema without logical types."""
    return json.loads(json.dumps(schema).replace("logicalType", "unlogical"))


def encoded_plainly(schema: Any, record: Any) -> bytes:
    """A record as encoded by a writer that checks neither logical types nor UTF-8."""
    if record["more"] != "\ud800":
        return encoded(bare(schema), record)
    return encoded(schema, {**record, "more": "??"}).replace(b"??", b"\xed\xa0")


def test_a_run_reads_rows_with_values_that_python_cannot_hold(pipeline: Pipeline) -> None:
    records = []
    for user_id, (kind, value) in ODD_FIELDS.items():
        schema = more(kind)
        schema_id = pipeline.subjects.register(f"{pipeline.source}-{user_id}", schema)
        body = encoded_plainly(schema, {"user_id": user_id, **ROW, "more": value})
        records.append(Outgoing(0, frame(schema_id, body), []))
    pipeline.topics.write(pipeline.source, records)
    inside.run_to_end(pipeline.arguments())
    assert {user: row[1:3] for user, row in pipeline.labelling().items()} == dict.fromkeys(ODD_FIELDS, (1.5, 2))


def test_a_run_reports_it(pipeline: Pipeline) -> None:
    target = f"{pipeline.source}_errors"
    expected = []
    records = []
    pipeline.topics.create(target)
    for name, (schema, held, cause) in NAMED.items():
        schema_id = pipeline.subjects.register(f"{pipeline.source}-{name}", schema)
        unreadable = "usable" in cause
        records.append(Outgoing(0, frame(schema_id, b"" if unreadable else encoded(schema, held)), []))
        expected.append(cause.format(id=f"schema id {schema_id}"))
    pipeline.topics.write(pipeline.source, records)
    inside.run_to_end(pipeline.arguments("--error-handling-mode", "log", "--error-handling-log-target", target))
    letters = [dict(letter.headers)["__streams.errors.message"] for letter in pipeline.topics.read(target)]
    messages = [letter.decode() for letter in letters if isinstance(letter, bytes)]
    assert [text.partition(";")[0] for text in messages] == expected


@pytest.fixture
def registry(services: Services) -> Iterator[ReadOnlyRegistry]:
    """The registry as --check reads it."""
    opened = ReadOnlyRegistry({"url": services.subjects.url}, StopRequest())
    yield opened
    opened.close()


def lines_of(topic: str, registry: ReadOnlyRegistry) -> list[str]:
    """The lines of --check about the subjects of a topic, as an input and as an output."""
    kafka = Kafka(Settings(schema_registry={}, consumer={"bootstrap.servers": ""}, producer={}), StopRequest())
    found = [check.input_line(topic, registry, kafka), check.input_key_line(topic, registry)]
    return list(map(str, [*found, *(check.output_line(topic, part, registry) for part in check.CODECS)]))


FITS = "ok      subject {topic}-value: user_id, total_amount, num_transactions"
NOT_OURS = "TO DO   subject {topic}-value: is not a record of user_id string, "


def test_check_accepts_or_reports_it(services: Services, registry: ReadOnlyRegistry) -> None:
    shapes = {name: schema for name, (schema, *_) in {**READ, **NAMED}.items()}
    for number, (name, schema) in enumerate(shapes.items()):
        topic = f"any_shape_{number}"
        for part in ("key", "value"):
            services.subjects.register(f"{topic}-{part}", schema)
        value, key, output, output_key = lines_of(topic, registry)
        reads = name in READ or name in ("null of a union", "other record of a union")
        assert value.startswith(FITS.format(topic=topic) if reads else f"TO DO   subject {topic}-value: is not a "), (
            name
        )
        assert key.startswith(
            (f"ok      subject {topic}-key: fits", f"TO DO   subject {topic}-key: names no user_id (")
        )
        assert output.startswith(NOT_OURS.format(topic=topic)), name
        assert output_key.startswith(f"TO DO   subject {topic}-key: is not a record of one string user_id"), name


def test_other_kinds_of_schemas(services: Services, registry: ReadOnlyRegistry) -> None:
    protobuf = 'syntax = "proto3"; message Row { string user_id = 1; }'
    for part in ("key", "value"):
        wanted = {"schema": protobuf, "schemaType": "PROTOBUF"}
        url = f"{services.subjects.url}/subjects/protobuf-{part}/versions"
        requests.post(url, json=wanted, timeout=10).raise_for_status()
    value, key, output, output_key = lines_of("protobuf", registry)
    assert value == "TO DO   subject protobuf-value: is PROTOBUF, not AVRO; read another topic with -t"
    assert key.startswith(
        "TO DO   subject protobuf-key: names no user_id (subject protobuf-key is PROTOBUF, not AVRO); "
    )
    assert output.startswith(NOT_OURS.format(topic="protobuf"))
    assert output_key.startswith("TO DO   subject protobuf-key: is not a record of one string user_id")


def test_deleted_versions(pipeline: Pipeline, registry: ReadOnlyRegistry) -> None:
    """Their ids stay valid: values with such an id are read; --check reports a subject without versions."""
    subjects = pipeline.subjects
    topic = f"{pipeline.source}_deleted"
    old = subjects.register(f"{topic}-value", more("int", default=0))
    for part, schema in [("key", KEY_SCHEMA), ("value", LABELING_SCHEMA)]:
        subjects.register(f"{topic}-{part}", schema)
    for path in (f"{topic}-value/versions/1", f"{topic}-value", f"{topic}-key"):
        requests.delete(f"{subjects.url}/subjects/{path}", timeout=10).raise_for_status()
    value = frame(old, encoded(more("int"), {"user_id": "old", **ROW, "more": 1}))
    pipeline.topics.write(pipeline.source, [Outgoing(0, value, [])])
    finished = inside.run(pipeline.arguments("--until-end"))
    kept = requests.get(f"{subjects.url}/schemas/ids/{old}", timeout=10).status_code == 200
    if kept:  # this registry deletes an id with its last version, Confluent's keeps it
        assert {user: row[1:3] for user, row in pipeline.labelling().items()} == {"old": (1.5, 2)}
    else:
        position = f"{pipeline.source} [0] at offset 0"
        assert f"{position}: schema id {old} is not in the Schema Registry; " in finished.stderr
    absent, none, output, output_key = lines_of(topic, registry)
    assert absent.startswith(f"TO DO   subject {topic}-value: does not exist; ")
    assert none == f"ok      subject {topic}-key: none: keys are plain user_ids"
    assert output.startswith(f"ok      subject {topic}-value: does not exist yet; ")
    assert output_key.startswith(f"ok      subject {topic}-key: does not exist: keys are plain user_ids")
