"""The table that Confluent infers from a topic without a CREATE TABLE: its columns, its key, its changelog mode.

A compacted topic is an upsert table: a newer row replaces the older one of its key, and a tombstone deletes it. Any
other topic is an append table: each record is a row. Here an append table lacks the key columns, which no statement
of the pipeline needs.
"""

from __future__ import annotations

import json
from typing import Any

from local.sql.column_types import sql_type
from local.sql.confluent_sql import Column, StatementError, Table
from local.sql.flink_tables import KEY_PREFIX_OPTION

KEY = "key"
"""The column for a key that is not an Avro record."""

KEY_PREFIX = "key_"


def table_of_schema(name: str, schema: str) -> Table:
    """Return the append table of a topic's value schema."""
    record = json.loads(schema)
    if not isinstance(record, dict) or record.get("type") != "record":
        raise StatementError(f"{name}: its value schema is not an Avro record; only records can be read as a table")
    return Table(name, tuple(_column(name, field) for field in record["fields"]))


def upsert_table_of_schemas(name: str, schema: str, key_schema: str | None) -> Table:
    """Return the upsert table of a compacted topic's schemas."""
    value = table_of_schema(name, schema).columns
    key = _record_key(name, key_schema)
    options = {"changelog.mode": "upsert"}
    if key is None:
        options["key.format"] = "raw"
        key = (Column(KEY, "BYTES", nullable=False),)
    elif set(key) <= set(value):
        return Table(name, value, _names(key), options=options | {"value.fields-include": "all"})
    if set(_names(key)) & set(_names(value)):
        options[KEY_PREFIX_OPTION] = KEY_PREFIX
        key = tuple(Column(KEY_PREFIX + column.name, column.type, column.nullable) for column in key)
    return Table(name, (*key, *value), _names(key), options=options)


def describes(schema: str, table: Table) -> bool:
    """Return whether a value schema has the table's columns: same names, types and nullability."""
    try:
        return [*table_of_schema(table.name, schema).columns] == table.value_columns
    except StatementError:
        return False


def _record_key(name: str, schema: str | None) -> tuple[Column, ...] | None:
    """Return the columns of a key; None for a key that is read as bytes: raw, or not supported by Flink."""
    try:
        columns = () if schema is None else table_of_schema(name, schema).columns
    except StatementError:
        return None
    return columns if columns and not any(column.nullable for column in columns) else None


def _names(columns: tuple[Column, ...]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


def _column(table: str, field: dict[str, Any]) -> Column:
    kind = field["type"]
    nullable = False
    if isinstance(kind, list) and len(kind) == 2 and "null" in kind:
        kind = next(branch for branch in kind if branch != "null")
        nullable = True
    column_type = sql_type(kind)
    if column_type is None:
        raise StatementError(
            f"{table}: field {field['name']} has an unsupported Avro type: {json.dumps(field['type'])}"
        )
    return Column(field["name"], column_type, nullable)
