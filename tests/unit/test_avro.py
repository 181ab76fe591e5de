"""AvroReader: decoded values, and the error of each malformed value."""

import pytest

from classifier.errors import RecordError
from classifier.row import parse_rows
from classifier.serialization.avro import AvroReader
from tests.support.memory import registry_of
from tests.support.values import GOOD, ROW, UNION, complaint, optional
from tests.support.wire import AGGREGATE_SCHEMA, body, frame, record_schema


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "no value (a tombstone); for an upsert table use --changelog-mode upsert"),
        (b"", "not Confluent Avro (no bytes)"),
        (b'{"user_id": 1}', "not Confluent Avro (first byte 0x7b)"),
        (b"\0", "not Confluent Avro (only 1 bytes)"),
        (b"\0\0\0\0", "not Confluent Avro (only 4 bytes)"),
        (frame(1, b""), "does not match its schema id 1"),
        (GOOD + b"\0", "1 bytes too many for its schema id 1"),
        (GOOD + GOOD, "21 bytes too many for its schema id 1"),
        (frame(1, b"\x02\x06\xff\xff\xff" + b"\0" * 20), "does not match its schema id 1"),
    ],
)
def test_malformed_value(value: bytes | None, message: str) -> None:
    assert complaint(value) == message


@pytest.mark.parametrize("length", range(5, len(GOOD)))
def test_truncated_value(length: int) -> None:
    assert complaint(GOOD[:length]) == "does not match its schema id 1"


def test_a_schema_that_is_no_record() -> None:
    assert complaint(frame(1, body("string", "ann")), "string") == "schema id 1 is not a record schema"


def test_two_bad_values_do_not_decode_as_two_good_ones() -> None:
    """Decoded as one array without a seal between them, the first would give two rows and the second none."""
    ann, bob = (body(AGGREGATE_SCHEMA, ROW | {"user_id": user_id}) for user_id in ("ann", "bob"))
    too_long, too_short = frame(1, ann + bytes(16) + bob), frame(1, b"\0")
    reader = AvroReader(registry_of(x=AGGREGATE_SCHEMA))
    assert [str(found) for found in reader.all_fields([too_long, too_short])] == [
        f"{16 + len(bob)} bytes too many for its schema id 1",
        "does not match its schema id 1",
    ]


def test_a_bad_value_does_not_affect_others() -> None:
    reader = AvroReader(registry_of(x=AGGREGATE_SCHEMA))
    others = [frame(1, body(AGGREGATE_SCHEMA, ROW | {"user_id": f"user {number}"})) for number in range(5)]
    found = parse_rows(reader.all_fields([*others[:3], GOOD[:-1], *others[3:]]))
    assert isinstance(found.pop(3), RecordError)
    assert found == [(f"user {number}", (1.5, 2)) for number in range(5)]


@pytest.mark.parametrize("null_last", [False, True])
@pytest.mark.parametrize("columns", [tuple(UNION), (*UNION, "more"), ("user_id",), ("num_transactions", "more"), ()])
def test_optional_fields(columns: tuple[str, ...], null_last: bool) -> None:
    schema = optional(*columns, null_last=null_last)
    reader = AvroReader(registry_of(x=schema))
    good = [ROW | {"user_id": f"user {number}", "more": "x"} for number in range(3)]
    nulls = [good[0] | {name: None} for name in columns]
    values = [frame(1, body(schema, each)) for each in [*good, *nulls]]
    assert parse_rows(reader.all_fields(values[:3])) == [(f"user {number}", (1.5, 2)) for number in range(3)]
    found = parse_rows(reader.all_fields(values))
    assert found[:3] == [(f"user {number}", (1.5, 2)) for number in range(3)]
    assert [isinstance(each, RecordError) for each in found[3:]] == [name != "more" for name in columns]


def test_values_of_several_schemas_keep_their_order() -> None:
    narrow = record_schema("narrow", **UNION | {"total_amount": "float", "num_transactions": "int"})
    reader = AvroReader(registry_of(x=AGGREGATE_SCHEMA, y=narrow))
    fields = [ROW | {"user_id": f"user {number}"} for number in range(6)]
    schemas = [
        (1, AGGREGATE_SCHEMA),
        (2, narrow),
        (2, narrow),
        (1, AGGREGATE_SCHEMA),
        (2, narrow),
        (1, AGGREGATE_SCHEMA),
    ]
    values = [frame(number, body(schema, row)) for (number, schema), row in zip(schemas, fields, strict=True)]
    assert parse_rows(reader.all_fields(values)) == [(f"user {number}", (1.5, 2)) for number in range(6)]
    assert isinstance(parse_rows(reader.all_fields([*values[:2], b"{}", *values[2:]]))[2], RecordError)
