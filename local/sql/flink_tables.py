"""A Confluent table on open-source Flink: its Avro schemas, and the Flink statements that declare it and write to it.

Open-source Flink has no ``changelog.mode``. A table ``t`` therefore becomes three:

- ``t__changelog``, the topic itself: the columns with the types of the format, and each record's headers, operation
  and timestamp;
- ``t``, the table that those records describe, without ``$rowtime``, as ``SELECT *`` shows it in Confluent Cloud;
- ``t__with_rowtime``, the same table with ``$rowtime``, for queries that use this column.

The operation of a record is in its header ``op``, one byte: absent or 0 insert, 1 update before, 2 update after,
3 delete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from local.sql.column_types import COLUMN_TYPES
from local.sql.confluent_sql import Column, Insert, StatementError, Table, tables_read, tokenize

NAMESPACE = "org.apache.flink.avro.generated.record"
ROWTIME = "$rowtime"
KEY_PREFIX_OPTION = "key.fields-prefix"
"""Flink's option for a prefix of the key columns, needed if the value has fields of the same names."""

# The broker's maximum: a transaction that a checkpoint has prepared must still be open when its job resumes.
TRANSACTION_TIMEOUT_MS = 900_000


@dataclass(frozen=True)
class Endpoints:
    """The addresses of the broker and the registry."""

    bootstrap_servers: str
    registry_url: str


def value_schema(table: Table) -> str:
    """Return the Avro schema that Confluent registers for the table's values."""
    return _record(f"{table.name}_value", table.value_columns)


def key_schema(table: Table) -> str | None:
    """Return the Avro schema that Confluent registers for the table's keys; None without a key or for raw keys."""
    if not table.primary_key or table.has_raw_key:
        return None
    return _record(f"{table.name}_key", table.key_columns)


def declare(table: Table, endpoints: Endpoints, schema: str | None = None, key: str | None = None) -> list[str]:
    """Return the statements that declare ``table`` in a Flink session.

    Parameters
    ----------
    schema, key : the registered schemas of value and key; by default those that Confluent would register.
    """
    value = value_schema(table) if schema is None else schema
    if table.primary_key:
        topic = _declare_upsert_topic(table, endpoints, value, key_schema(table) if key is None else key)
    else:
        topic = _declare_topic(table, endpoints, value)
    return [
        topic,
        f"CREATE TEMPORARY VIEW {_quoted(table.name)} AS {_rows(table, with_rowtime=False)}",
        f"CREATE TEMPORARY VIEW {_quoted(with_rowtime(table.name))} AS {_rows(table, with_rowtime=True)}",
    ]


def undeclare(name: str) -> list[str]:
    """Return the statements that undo a declaration, also an incomplete one."""
    views = [f"DROP TEMPORARY VIEW IF EXISTS {_quoted(view)}" for view in (with_rowtime(name), name)]
    return [*views, f"DROP TEMPORARY TABLE IF EXISTS {_quoted(changelog(name))}"]


def with_key_format(table: Table, key_format: str) -> Table:
    """Return the table with the key format of its topic instead of the one in its CREATE TABLE."""
    if not table.primary_key:
        return table
    return replace(table, options={**table.options, "key.format": key_format})


def changelog(name: str) -> str:
    """Return the name of the table of the topic itself."""
    return f"{name}__changelog"


def with_rowtime(name: str) -> str:
    """Return the name of the view with ``$rowtime``."""
    return f"{name}__with_rowtime"


def insert(statement: Insert, table: Table) -> list[str]:
    """Return the statements that run an INSERT: a view of its query, and an INSERT of that view's changes."""
    columns = statement.columns or tuple(table.column_names)
    unknown = [column for column in columns if column not in table.column_names]
    if unknown:
        raise StatementError(f"{table.name} has no column {', '.join(unknown)}; it has {', '.join(table.column_names)}")
    query = _quoted(f"{table.name}__query")
    view = f"CREATE TEMPORARY VIEW {query} ({_list(columns)}) AS {rowtime_query(statement.query)}"
    drop = f"DROP TEMPORARY VIEW IF EXISTS {query}"
    return [drop, view, _write(table, columns, query, job_name(table, statement))]


def job_name(table: Table, statement: Insert) -> str:
    """Return a name for the job, fixed for a statement, as it is also the prefix of the job's transactional ids."""
    digest = hashlib.sha256(statement.query.encode()).hexdigest()[:8]
    return f"insert-into-{table.name}-{digest}"


def rowtime_query(query: str) -> str:
    """Return the query; if it uses ``$rowtime``, it reads from the views with this column."""
    if all(token.identifier != ROWTIME for token in tokenize(query)):
        return query
    for token in reversed(tables_read(query)):
        end = token.start + len(token.text)
        query = query[: token.start] + _quoted(with_rowtime(token.identifier)) + query[end:]
    return query


def _record(name: str, columns: Sequence[Column]) -> str:
    fields = [_field(column) for column in columns]
    return json.dumps({"type": "record", "name": name, "namespace": NAMESPACE, "fields": fields})


def _field(column: Column) -> dict[str, Any]:
    kind = COLUMN_TYPES[column.type].avro
    if column.nullable:
        return {"name": column.name, "type": ["null", kind], "default": None}
    return {"name": column.name, "type": kind}


def _declare_topic(table: Table, endpoints: Endpoints, schema: str) -> str:
    operation = (
        "CASE WHEN `$headers` IS NULL OR `$headers`['op'] IS NULL THEN 'INSERT'"
        " WHEN `$headers`['op'] = X'01' THEN 'UPDATE_BEFORE'"
        " WHEN `$headers`['op'] = X'02' THEN 'UPDATE_AFTER'"
        " WHEN `$headers`['op'] = X'03' THEN 'DELETE' ELSE 'INSERT' END"
    )
    options = {
        "connector": "kafka",
        "scan.startup.mode": "earliest-offset",
        "format": "avro-confluent",
        "avro-confluent.url": endpoints.registry_url,
        "avro-confluent.subject": f"{table.name}-value",
        "avro-confluent.schema": schema,
        "sink.delivery-guarantee": "exactly-once",
        "sink.partitioner": "ValueHashPartitioner",
        "properties.isolation.level": "read_committed",
        **_shared_options(table, endpoints),
    }
    columns = [
        *_columns(table),
        "`$headers` MAP<STRING, BYTES> METADATA FROM 'headers'",
        f"`$op` AS {operation}",
        *_rowtime(),
    ]
    return _create(table, columns, options)


def _declare_upsert_topic(table: Table, endpoints: Endpoints, value: str, key: str | None) -> str:
    include = table.options.get("value.fields-include", "except-key")
    options = {
        "connector": "upsert-kafka",
        **_key_options(table, endpoints, key),
        "value.format": "avro-confluent",
        "value.avro-confluent.url": endpoints.registry_url,
        "value.avro-confluent.subject": f"{table.name}-value",
        "value.avro-confluent.schema": value,
        "value.fields-include": include.replace("-", "_").upper(),
        "sink.delivery-guarantee": "exactly-once",
        "properties.isolation.level": "read_committed",
        **_shared_options(table, endpoints),
    }
    constraint = f"PRIMARY KEY ({_list(table.primary_key)}) NOT ENFORCED"
    return _create(table, [*_columns(table), *_rowtime(), constraint], options)


def _key_options(table: Table, endpoints: Endpoints, schema: str | None) -> dict[str, str]:
    prefix = {KEY_PREFIX_OPTION: table.options[KEY_PREFIX_OPTION]} if KEY_PREFIX_OPTION in table.options else {}
    if table.has_raw_key:
        return {"key.format": "raw", **prefix}
    return {
        "key.format": "avro-confluent",
        "key.avro-confluent.url": endpoints.registry_url,
        "key.avro-confluent.subject": f"{table.name}-key",
        "key.avro-confluent.schema": str(schema),
        **prefix,
    }


def _shared_options(table: Table, endpoints: Endpoints) -> dict[str, str]:
    return {
        "topic": table.name,
        "properties.bootstrap.servers": endpoints.bootstrap_servers,
        "properties.transaction.timeout.ms": str(TRANSACTION_TIMEOUT_MS),
        "sink.transactional-id-prefix": f"flink-{table.name}",
    }


def _columns(table: Table) -> list[str]:
    types = [COLUMN_TYPES[column.type].declared or column.type for column in table.columns]
    return [
        f"{_quoted(column.name)} {kind}{'' if column.nullable else ' NOT NULL'}"
        for column, kind in zip(table.columns, types, strict=True)
    ]


def _rowtime() -> list[str]:
    return [
        "`$rowtime` TIMESTAMP_LTZ(3) NOT NULL METADATA FROM 'timestamp' VIRTUAL",
        "WATERMARK FOR `$rowtime` AS `$rowtime`",
    ]


def _create(table: Table, columns: list[str], options: dict[str, str]) -> str:
    settings = ",\n  ".join(f"{_string(key)} = {_string(value)}" for key, value in options.items())
    body = ",\n  ".join(columns)
    return f"CREATE TEMPORARY TABLE {_quoted(changelog(table.name))} (\n  {body}\n) WITH (\n  {settings}\n)"


def _rows(table: Table, with_rowtime: bool) -> str:
    columns = ", ".join(_converted(column.name, COLUMN_TYPES[column.type].read) for column in table.columns)
    if with_rowtime:
        columns += f", {_quoted(ROWTIME)}"
    source = _quoted(changelog(table.name))
    if table.changelog_mode != "retract":
        return f"SELECT {columns} FROM {source}"
    names = _list([*table.column_names, ROWTIME] if with_rowtime else table.column_names)
    records = f"SELECT {names}, `$op` FROM {source}"
    return f"SELECT {columns} FROM FROM_CHANGELOG(input => ({records}), op => DESCRIPTOR(`$op`))"


def _write(table: Table, columns: Sequence[str], query: str, job: str) -> str:
    # Two INSERTs into one table must not abort each other's Kafka transactions.
    hint = f"/*+ OPTIONS('sink.transactional-id-prefix' = {_string(job)}) */"
    target = f"{_quoted(changelog(table.name))} {hint}"
    names = _list(columns)
    types = {column.name: COLUMN_TYPES[column.type] for column in table.columns}
    values = ", ".join(_converted(name, types[name].write) for name in columns)
    if table.changelog_mode != "retract":
        return f"INSERT INTO {target} ({names}) SELECT {values} FROM {query}"
    headers = (
        "CASE op WHEN 'UPDATE_BEFORE' THEN MAP['op', X'01'] WHEN 'UPDATE_AFTER' THEN MAP['op', X'02']"
        " WHEN 'DELETE' THEN MAP['op', X'03'] END"
    )
    changes = f"TO_CHANGELOG(input => TABLE {query})"
    return f"INSERT INTO {target} ({names}, `$headers`) SELECT {values}, {headers} FROM {changes}"


def _converted(name: str, conversion: str) -> str:
    column = _quoted(name)
    return column if conversion == "{}" else f"{conversion.format(column)} AS {column}"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _list(names: Sequence[str]) -> str:
    return ", ".join(_quoted(name) for name in names)


def _string(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
