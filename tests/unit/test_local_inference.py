"""The table that a topic made by hand is, by its schemas and its cleanup policy."""

import json

import pytest

from local.sql import flink_tables, inference
from local.sql.confluent_sql import Column, StatementError, Table
from local.sql.flink_tables import Endpoints

ENDPOINTS = Endpoints("broker:1", "http://registry/")


def record(**fields: object) -> str:
    """An Avro record schema."""
    return json.dumps({"type": "record", "name": "r", "fields": [{"name": n, "type": t} for n, t in fields.items()]})


def upsert(value: str, key: str | None) -> Table:
    """The table of a compacted topic."""
    return inference.upsert_table_of_schemas("t", value, key)


NULLABLE = ["null", "string"]
VALUE = record(user_id=NULLABLE, label="int")
COLUMNS = (Column("user_id", "STRING"), Column("label", "INT", nullable=False))
BYTES_KEY = Column("key", "BYTES", nullable=False)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ('"string"', "t: its value schema is no Avro record; only records can be read as a table"),
        (
            '{"type": "record", "name": "r", "fields": [{"name": "a", "type": {"type": "array", "items": "int"}}]}',
            't: field a has an Avro type not known here: {"type": "array", "items": "int"}',
        ),
        (record(a=["null"]), 't: field a has an Avro type not known here: ["null"]'),
        (record(a=["null", "int", "long"]), 't: field a has an Avro type not known here: ["null", "int", "long"]'),
    ],
)
def test_schema_that_is_no_table(schema: str, expected: str) -> None:
    """Said with the field's name."""
    with pytest.raises(StatementError) as caught:
        inference.table_of_schema("t", schema)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    "key",
    [None, '"string"', record(user_id=NULLABLE), record(at={"type": "long", "logicalType": "timestamp-millis"})],
    ids=["no subject", "no record", "may be null", "type not known"],
)
def test_key_as_bytes(key: str | None) -> None:
    """Without a subject, or with one that Flink's Avro format does not read as a key."""
    assert upsert(VALUE, key) == Table(
        "t", (BYTES_KEY, *COLUMNS), ("key",), options={"changelog.mode": "upsert", "key.format": "raw"}
    )


def test_bytes_beside_a_field_named_key() -> None:
    """As Confluent has it: the key's column gets a prefix, the field keeps its name."""
    table = upsert(record(key="int"), None)
    assert table.columns == (Column("key_key", "BYTES", nullable=False), Column("key", "INT", nullable=False))
    assert table.primary_key == ("key_key",)
    (topic, *_) = flink_tables.declare(table, ENDPOINTS)
    for part in ("'key.format' = 'raw'", "'key.fields-prefix' = 'key_'", "'value.fields-include' = 'EXCEPT_KEY'"):
        assert part in topic


def test_record_key() -> None:
    """Its fields are columns beside those of the value."""
    table = upsert(VALUE, record(id="long"))
    assert table == Table(
        "t", (Column("id", "BIGINT", nullable=False), *COLUMNS), ("id",), options={"changelog.mode": "upsert"}
    )


def test_record_key_that_the_value_repeats() -> None:
    """Alike in name, type and nullability: one column."""
    table = upsert(record(user_id="string", label="int"), record(user_id="string"))
    assert table.columns == (Column("user_id", "STRING", nullable=False), COLUMNS[1])
    assert (table.primary_key, table.options["value.fields-include"]) == (("user_id",), "all")


def test_record_key_whose_name_the_value_has_otherwise() -> None:
    """The value's field may be null, so they are two columns."""
    table = upsert(VALUE, record(user_id="string"))
    assert table.columns == (Column("key_user_id", "STRING", nullable=False), *COLUMNS)
    (topic, *_) = flink_tables.declare(table, ENDPOINTS, VALUE, record(user_id="string"))
    for part in ("'key.format' = 'avro-confluent'", "'key.fields-prefix' = 'key_'", "PRIMARY KEY (`key_user_id`)"):
        assert part in topic


@pytest.mark.parametrize(
    ("schema", "alike"),
    [
        (record(user_id="string", label="int"), True),
        (record(user_id=NULLABLE, label="int"), False),
        (record(user_id="string", label="long"), False),
        (record(user_id="string"), False),
        (record(label="int", user_id="string"), False),
        ('"string"', False),
    ],
)
def test_schema_describes_the_table(schema: str, alike: bool) -> None:
    """Another one is not given to Flink, which would refuse it."""
    columns = (Column("user_id", "STRING", nullable=False), Column("label", "INT", nullable=False))
    assert (
        inference.describes(schema, Table("t", columns, ("user_id",), options={"value.fields-include": "all"})) is alike
    )
