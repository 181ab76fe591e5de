"""The table inferred from the schemas and the cleanup policy of a topic that was created by hand."""

import json

import pytest

from local.sql import flink_tables, inference
from local.sql.confluent_sql import Column, StatementError, Table
from local.sql.flink_tables import Endpoints

ENDPOINTS = Endpoints("broker:1", "http://registry/")


def record(**fields: object) -> str:
    """Return an Avro record schema."""
    return json.dumps({"type": "record", "name": "r", "fields": [{"name": n, "type": t} for n, t in fields.items()]})


def upsert(value: str, key: str | None) -> Table:
    """Return the table of a compacted topic."""
    return inference.upsert_table_of_schemas("t", value, key)


NULLABLE = ["null", "string"]
VALUE = record(user_id=NULLABLE, label="int")
COLUMNS = (Column("user_id", "STRING"), Column("label", "INT", nullable=False))
BYTES_KEY = Column("key", "BYTES", nullable=False)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ('"string"', "t: its value schema is not an Avro record; only records can be read as a table"),
        (
            '{"type": "record", "name": "r", "fields": [{"name": "a", "type": {"type": "array", "items": "int"}}]}',
            't: field a has an unsupported Avro type: {"type": "array", "items": "int"}',
        ),
        (
            record(a={"type": "long", "logicalType": "timestamp-micros"}),
            't: field a has an unsupported Avro type: {"type": "long", "logicalType": "timestamp-micros"}',
        ),
        (record(a=["null"]), 't: field a has an unsupported Avro type: ["null"]'),
        (record(a=["null", "int", "long"]), 't: field a has an unsupported Avro type: ["null", "int", "long"]'),
    ],
)
def test_a_schema_that_is_not_a_table(schema: str, expected: str) -> None:
    with pytest.raises(StatementError) as caught:
        inference.table_of_schema("t", schema)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ({"type": "long"}, "BIGINT"),
        ({"type": "string", "avro.java.string": "String"}, "STRING"),
        ({"type": "long", "logicalType": "timestamp-millis", "flink.version": "1"}, "TIMESTAMP_LTZ(3)"),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, "TIMESTAMP(3)"),
        ({"type": "int", "logicalType": "date", "connect.version": 1}, "DATE"),
    ],
)
def test_types_with_properties(kind: object, expected: str) -> None:
    """Those of Kafka Connect and of Confluent's Flink do not change the type."""
    for each in (kind, ["null", kind], [kind, "null"]):
        (column,) = inference.table_of_schema("t", record(a=each)).columns
        assert column == Column("a", expected, nullable=isinstance(each, list))


@pytest.mark.parametrize(
    "key",
    [None, '"string"', record(user_id=NULLABLE), record(at={"type": "long", "logicalType": "timestamp-micros"})],
    ids=["no subject", "not a record", "nullable", "unsupported type"],
)
def test_a_key_as_bytes(key: str | None) -> None:
    """Without a subject, or with one that Flink's Avro format cannot read as a key."""
    assert upsert(VALUE, key) == Table(
        "t", (BYTES_KEY, *COLUMNS), ("key",), options={"changelog.mode": "upsert", "key.format": "raw"}
    )


def test_a_key_as_bytes_and_a_field_named_key() -> None:
    """As in Confluent Cloud, the key's column gets a prefix, and the field keeps its name."""
    table = upsert(record(key="int"), None)
    assert table.columns == (Column("key_key", "BYTES", nullable=False), Column("key", "INT", nullable=False))
    assert table.primary_key == ("key_key",)
    (topic, *_) = flink_tables.declare(table, ENDPOINTS)
    for part in ("'key.format' = 'raw'", "'key.fields-prefix' = 'key_'", "'value.fields-include' = 'EXCEPT_KEY'"):
        assert part in topic


def test_the_fields_of_a_record_key_are_columns() -> None:
    table = upsert(VALUE, record(id="long"))
    assert table == Table(
        "t", (Column("id", "BIGINT", nullable=False), *COLUMNS), ("id",), options={"changelog.mode": "upsert"}
    )


def test_a_record_key_that_the_value_repeats() -> None:
    """Same name, type and nullability: one column."""
    table = upsert(record(user_id="string", label="int"), record(user_id="string"))
    assert table.columns == (Column("user_id", "STRING", nullable=False), COLUMNS[1])
    assert (table.primary_key, table.options["value.fields-include"]) == (("user_id",), "all")


def test_a_record_key_with_the_name_of_another_field() -> None:
    """The value's field is nullable, so they are two columns."""
    table = upsert(VALUE, record(user_id="string"))
    assert table.columns == (Column("key_user_id", "STRING", nullable=False), *COLUMNS)
    (topic, *_) = flink_tables.declare(table, ENDPOINTS, VALUE, record(user_id="string"))
    for part in ("'key.format' = 'avro-confluent'", "'key.fields-prefix' = 'key_'", "PRIMARY KEY (`key_user_id`)"):
        assert part in topic


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (record(user_id="string", label="int"), True),
        (record(user_id=NULLABLE, label="int"), False),
        (record(user_id="string", label="long"), False),
        (record(user_id="string"), False),
        (record(label="int", user_id="string"), False),
        ('"string"', False),
    ],
)
def test_whether_a_schema_describes_a_table(schema: str, expected: bool) -> None:
    """One that does not is not passed to Flink, which would reject it."""
    columns = (Column("user_id", "STRING", nullable=False), Column("label", "INT", nullable=False))
    table = Table("t", columns, ("user_id",), options={"value.fields-include": "all"})
    assert inference.describes(schema, table) is expected
