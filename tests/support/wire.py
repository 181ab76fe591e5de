"""Records in Kafka: Confluent's framing of Avro, and Flink's `op` header."""

import io
import struct
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.types import Schema

NAMESPACE = "org.apache.flink.avro.generated.record"
Headers = list[tuple[str, str | bytes | None]]


def record_schema(name: str, **columns: Any) -> dict[str, Any]:
    """The schema that Flink registers for a table: each column may be null."""
    fields = [{"name": column, "type": ["null", kind], "default": None} for column, kind in columns.items()]
    return {"type": "record", "name": name, "namespace": NAMESPACE, "fields": fields}


TOTALS = {"user_id": "string", "total_amount": "double", "num_transactions": "long"}
TIMED = {**TOTALS, "last_purchase": {"type": "long", "logicalType": "timestamp-millis"}}
"""With a third feature, see `tests/support/last_purchase.py`."""
AGGREGATE_SCHEMA = record_schema("transactions_aggregate_value", **TOTALS)
TIMED_SCHEMA = record_schema("transactions_aggregate_value", **TIMED)
LABELING_SCHEMA = record_schema("user_labeling_value", **TOTALS, label="int")
# PRIMARY KEY columns are not nullable, and are the only columns of the key.
KEY_SCHEMA = {
    "type": "record",
    "name": "user_labeling_key",
    "namespace": NAMESPACE,
    "fields": [{"name": "user_id", "type": "string"}],
}


def body(schema: Schema, record: Any) -> bytes:
    """The Avro encoding of one record, without the frame."""
    out = io.BytesIO()
    schemaless_writer(out, parse_schema(schema), record)
    return out.getvalue()


def frame(schema_id: int, encoded: bytes) -> bytes:
    """Byte 0, the schema id in four bytes, the Avro body."""
    return b"\0" + struct.pack(">I", schema_id) + encoded


def schema_id_of(value: bytes) -> int:
    """The schema id in the frame."""
    magic, schema_id = struct.unpack_from(">bI", value)
    if magic != 0:
        raise ValueError(f"not Confluent's framing: {value[:5]!r}")
    return int(schema_id)


def unframe(schema: Schema, value: bytes) -> Any:
    """The record in a framed value; no bytes may follow it."""
    stream = io.BytesIO(value[5:])
    record = schemaless_reader(stream, parse_schema(schema), None)
    if stream.read():
        raise ValueError(f"bytes left over after the record: {value!r}")
    return record
