"""Fields that nobody asked for do no harm, whatever they hold."""

import json
from typing import Any

from tests.hostile.records import COLUMNS, encoded
from tests.support import inside
from tests.support.pipeline import Pipeline
from tests.support.topics import Outgoing
from tests.support.wire import NAMESPACE, frame

ROW = {"total_amount": 1.5, "num_transactions": 2}


def logical(base: str, kind: str, **more: Any) -> dict[str, Any]:
    """A logical type."""
    return {"type": base, "logicalType": kind, **more}


# Type, and a value of the type below the logical one that Python does not hold in the logical one, or hardly.
ODD: dict[str, tuple[Any, Any]] = {
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


def bare(schema: Any) -> Any:
    """The same schema without logical types."""
    return json.loads(json.dumps(schema).replace("logicalType", "unlogical"))


def written(schema: Any, record: Any) -> bytes:
    """A record as a writer encodes it that minds no logical types, and no UTF-8."""
    if record["more"] != "\ud800":
        return encoded(bare(schema), record)
    return encoded(schema, {**record, "more": "??"}).replace(b"??", b"\xed\xa0")


def test_values_that_python_cannot_hold(pipeline: Pipeline) -> None:
    records = []
    for user_id, (kind, value) in ODD.items():
        fields = [*({"name": name, "type": each} for name, each in COLUMNS.items()), {"name": "more", "type": kind}]
        schema = {"type": "record", "name": "row", "namespace": NAMESPACE, "fields": fields}
        schema_id = pipeline.subjects.register(f"{pipeline.source}-{user_id}", schema)
        body = written(schema, {"user_id": user_id, **ROW, "more": value})
        records.append(Outgoing(0, frame(schema_id, body), []))
    pipeline.topics.write(pipeline.source, records)
    inside.run_to_end(pipeline.arguments())
    assert {user: row[1:3] for user, row in pipeline.labelling().items()} == dict.fromkeys(ODD, (1.5, 2))
