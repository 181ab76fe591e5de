"""The types of a table's columns: in Confluent Cloud's SQL, in Avro, and in the Flink table of the topic.

Confluent writes TIMESTAMP_LTZ as Avro's timestamp and TIMESTAMP as its local-timestamp. The format avro-confluent of
open-source Flink still has the mapping from before Flink 1.19: it reads timestamp-millis as TIMESTAMP, and
local-timestamp-millis as BIGINT (FLINK-33198 corrected only the format avro). So the table of the topic has the types
of the format, and the views and INSERTs convert. They take the session's time zone for UTC, which it is, see
``local.services.flink``. Microseconds are left out: that format would write milliseconds into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AvroType = str | dict[str, str]


@dataclass(frozen=True)
class ColumnType:
    """A type of SQL.

    Parameters
    ----------
    avro : its Avro type.
    declared : its type in the table of the topic; empty if it is the same.
    read, write : the conversions from and to ``declared``; ``{}`` stands for the column.
    """

    avro: AvroType
    declared: str = ""
    read: str = "{}"
    write: str = "{}"


COLUMN_TYPES: Mapping[str, ColumnType] = {
    "BIGINT": ColumnType("long"),
    "BOOLEAN": ColumnType("boolean"),
    "BYTES": ColumnType("bytes"),
    "DATE": ColumnType({"type": "int", "logicalType": "date"}),
    "DOUBLE": ColumnType("double"),
    "FLOAT": ColumnType("float"),
    "INT": ColumnType("int"),
    "STRING": ColumnType("string"),
    "TIMESTAMP(3)": ColumnType(
        {"type": "long", "logicalType": "local-timestamp-millis"},
        "BIGINT",
        "CAST(TO_TIMESTAMP_LTZ({}, 3) AS TIMESTAMP(3))",
        "1000 * EXTRACT(EPOCH FROM {0}) + EXTRACT(MILLISECOND FROM {0})",
    ),
    "TIMESTAMP_LTZ(3)": ColumnType(
        {"type": "long", "logicalType": "timestamp-millis"},
        "TIMESTAMP(3)",
        "CAST({} AS TIMESTAMP_LTZ(3))",
        "CAST({} AS TIMESTAMP(3))",
    ),
}
"""The supported types of columns."""


def sql_type(avro: Any) -> str | None:
    """Return the SQL type of an Avro type without a union; None if it is not supported."""
    if isinstance(avro, dict):
        logical = avro.get("logicalType")
        avro = {"type": avro.get("type"), "logicalType": logical} if logical else avro.get("type")
    return next((name for name, each in COLUMN_TYPES.items() if each.avro == avro), None)
