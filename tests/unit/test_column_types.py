"""Avro types of the three columns: conversions, and messages for types that are not accepted."""

from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.errors import RecordError
from classifier.row import parse_row, parse_rows
from classifier.serialization.avro import AvroReader
from classifier.serialization.column_types import decimal_to_float, row_type_problem
from classifier.serialization.registry import SchemaRegistry
from tests.support.wire import body, frame

PLAIN = {"user_id": "string", "total_amount": "double", "num_transactions": "long"}
ROW = {"user_id": "ann", "total_amount": 1.5, "num_transactions": 2}
MADE = {
    "user_id": ("user_id", "STRING"),
    "total_amount": ("SUM(amount)", "DOUBLE"),
    "num_transactions": ("COUNT(purchase_id)", "BIGINT"),
}


def decimal(precision: Any, scale: Any, base: Any = "bytes", **more: Any) -> dict[str, Any]:
    """Return a decimal type."""
    return {"type": base, "logicalType": "decimal", "precision": precision, "scale": scale, **more}


def fixed(size: int, precision: int, scale: int) -> dict[str, Any]:
    """Return a decimal type of a fixed size."""
    return decimal(precision, scale, "fixed", name="number", size=size)


def logical(base: str, name: str) -> dict[str, str]:
    """Return a logical type."""
    return {"type": base, "logicalType": name}


def schema_of(column: str, kind: Any) -> dict[str, Any]:
    """Return the schema of the input with another type for one column."""
    fields = [{"name": name, "type": kind if name == column else plain} for name, plain in PLAIN.items()]
    return {"type": "record", "name": "row", "fields": fields}


def bare(kind: Any) -> Any:
    """Return a type without its logical type, to encode test values."""
    if isinstance(kind, list):
        return [bare(each) for each in kind]
    return {name: each for name, each in kind.items() if name != "logicalType"} if isinstance(kind, dict) else kind


class OneSchema:
    """A registry with one schema."""

    def __init__(self, schema: Any) -> None:
        self.by_id = {1: schema}.__getitem__


def registry_with(schema: Any) -> SchemaRegistry:
    """Return a registry with one schema, for the reader."""
    return cast(SchemaRegistry, OneSchema(schema))


def read(column: str, kind: Any, value: Any) -> Any:
    """Return a column of a decoded value, decoded alone and in a block."""
    data = frame(1, body(schema_of(column, bare(kind)), {**ROW, column: value}))
    reader = AvroReader(registry_with(schema_of(column, kind)))
    user_id, (amount, number) = parse_row(reader.fields(data))
    assert parse_rows(reader.all_fields([data, data])) == [(user_id, (amount, number))] * 2
    return {"user_id": user_id, "total_amount": amount, "num_transactions": number}[column]


EIGHT = (-150).to_bytes(8, "big", signed=True)
UUID = "123e4567-e89b-12d3-a456-426614174000"


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize(
    ("column", "kind", "value", "expected"),
    [
        ("user_id", "string", "ann", "ann"),
        ("user_id", logical("string", "uuid"), UUID, UUID),
        ("user_id", logical("string", "uuid"), "s-1", "s-1"),
        ("user_id", {"type": "enum", "name": "e", "symbols": ["ANN"]}, "ANN", "ANN"),
        ("user_id", "int", -7, "-7"),
        ("user_id", "long", 2**63 - 1, "9223372036854775807"),
        ("user_id", logical("long", "of-my-own"), 7, "7"),
        ("user_id", decimal(38, 0), b"\x07", "7"),
        ("user_id", fixed(8, 18, 0), EIGHT, "-150"),
        ("total_amount", "float", 0.5, 0.5),
        ("total_amount", "int", 7, 7.0),
        ("total_amount", "long", 2**53 + 1, 2.0**53),
        ("total_amount", decimal(38, 2), (12345).to_bytes(2, "big"), 123.45),
        ("total_amount", decimal(38, 2), b"\xff\xff\x6a", -1.5),
        ("total_amount", decimal(2, 1), (10**30 + 1).to_bytes(13, "big"), 1e29),
        ("total_amount", fixed(8, 18, 2), EIGHT, -1.5),
        ("total_amount", {"type": "bytes", "logicalType": "decimal", "precision": 5}, b"\x07", 7.0),
        ("num_transactions", "int", 7, 7),
        ("num_transactions", decimal(38, 0), (2**63 - 1).to_bytes(8, "big"), 2**63 - 1),
    ],
)
def test_accepted_types(column: str, kind: Any, value: Any, expected: Any, nullable: bool) -> None:
    found = read(column, ["null", kind] if nullable else kind, value)
    assert (found, type(found)) == (expected, type(expected))
    assert row_type_problem(schema_of(column, kind)) == ""


def test_unions_of_compatible_types() -> None:
    assert read("total_amount", ["null", "double", "long"], 7) == 7.0
    assert read("user_id", ["int", "null", "long"], 2**40) == str(2**40)


def message_for(column: str, type_name: str) -> str:
    """Return the message for a type that is not accepted."""
    made, sql = MADE[column]
    cast = f"write CAST({made} AS {sql}) AS {column} in statement 4, and {column} {sql} in statement 3"
    return f"{column} is of type {type_name}; {cast}"


@pytest.mark.parametrize(
    ("column", "kind", "type_name"),
    [
        ("user_id", "boolean", "boolean"),
        ("user_id", "double", "double"),
        ("user_id", "bytes", "bytes"),
        ("user_id", {"type": "fixed", "name": "f", "size": 16, "logicalType": "uuid"}, "fixed"),
        ("user_id", logical("int", "date"), "date"),
        ("user_id", logical("long", "timestamp-micros"), "timestamp-micros"),
        ("user_id", decimal(10, 2), "decimal(10, 2)"),
        ("user_id", ["null", "string", "long"], "long or string"),  # 7 would be ambiguous
        ("total_amount", "string", "string"),
        ("total_amount", "boolean", "boolean"),
        ("total_amount", "bytes", "bytes"),
        ("total_amount", logical("int", "time-millis"), "time-millis"),
        ("total_amount", logical("long", "local-timestamp-millis"), "local-timestamp-millis"),
        ("total_amount", decimal(2, 5), "bytes"),
        ("total_amount", decimal(None, 0), "bytes"),
        ("total_amount", decimal(2 * 10**9, 10**9), "bytes"),
        ("total_amount", ["double", decimal(10, 2)], "decimal(10, 2) or double"),
        ("total_amount", "null", "null"),
        ("total_amount", {"type": "map", "values": "double"}, "map"),
        ("num_transactions", "double", "double"),
        ("num_transactions", decimal(10, 2), "decimal(10, 2)"),
        ("num_transactions", {"type": "record", "name": "n", "fields": []}, "record"),
    ],
)
def test_types_that_are_not_accepted(column: str, kind: Any, type_name: str) -> None:
    schema = schema_of(column, kind)
    reader = AvroReader(registry_with(schema))
    with pytest.raises(RecordError) as caught:
        reader.fields(frame(1, b""))
    assert str(caught.value) == row_type_problem(schema) == message_for(column, type_name)
    assert [str(each) for each in reader.all_fields([frame(1, b""), frame(1, b"x")])] == [str(caught.value)] * 2


@pytest.mark.parametrize(
    ("column", "kind", "value", "message"),
    [
        ("total_amount", decimal(38, 2), b"", "total_amount must be a number up to 1e+150, got None"),
        ("total_amount", decimal(38, 2), b"\x7f" * 500, "total_amount must be a number up to 1e+150, got inf"),
        ("user_id", decimal(38, 0), b"\x7f" * 5000, "user_id must be a string, got NoneType"),
        (
            "num_transactions",
            decimal(38, 0),
            (2**63).to_bytes(9, "big"),
            f"num_transactions must be a whole number >= 0, got {float(2**63)}",
        ),
    ],
)
def test_values_that_are_not_accepted(column: str, kind: Any, value: bytes, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        read(column, kind, value)
    assert str(caught.value) == message


@given(st.integers(-(10**38), 10**38), st.integers(0, 38))
def test_a_decimal_becomes_the_nearest_double(unscaled: int, scale: int) -> None:
    raw = unscaled.to_bytes(17, "big", signed=True)
    assert decimal_to_float(raw, 10**scale) == float(Decimal(unscaled).scaleb(-scale))
