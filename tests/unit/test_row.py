"""Rows: the checks of a record's fields, and the error of each."""

import pytest

from classifier.row import parse_row
from classifier.serialization.avro import AvroReader
from tests.support.memory import registry_of
from tests.support.values import ROW, UNION, complaint
from tests.support.wire import AGGREGATE_SCHEMA, body, frame, record_schema


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user_id": None}, "user_id must be a string, got NoneType"),
        ({"total_amount": None}, "total_amount must be a number up to 1e+150, got None"),
        ({"total_amount": float("nan")}, "total_amount must be a number up to 1e+150, got nan"),
        ({"total_amount": float("-inf")}, "total_amount must be a number up to 1e+150, got -inf"),
        ({"total_amount": 1e151}, "total_amount must be a number up to 1e+150, got 1e+151"),
        ({"num_transactions": None}, "num_transactions must be a whole number >= 0, got None"),
        ({"num_transactions": -1}, "num_transactions must be a whole number >= 0, got -1"),
        ({"user_id": "x" * 100_001}, "user_id must have at most 100000 characters, got 100001"),
    ],
)
def test_invalid_field(change: dict[str, object], message: str) -> None:
    assert complaint(frame(1, body(AGGREGATE_SCHEMA, ROW | change))) == message


@pytest.mark.parametrize("missing", ROW)
def test_missing_field(missing: str) -> None:
    schema = record_schema("r", **{name: kind for name, kind in UNION.items() if name != missing})
    key = "; if it is the table's key, 'value.fields-include' = 'all' keeps it in the value"
    message = f"has no field '{missing}'{key if missing == 'user_id' else ''}"
    assert complaint(frame(1, body(schema, ROW)), schema) == message


@pytest.mark.parametrize(
    ("kind", "amount"),
    [("double", 2.0), ("float", 2.0), ("long", 2), ("int", 2)],
    ids=["double", "float", "long", "int"],
)
def test_amounts_of_each_number_type(kind: str, amount: float) -> None:
    schema = record_schema("r", **UNION | {"total_amount": kind})
    reader = AvroReader(registry_of(x=schema))
    user_id, row = parse_row(reader.fields(frame(1, body(schema, ROW | {"total_amount": amount}))))
    assert (user_id, row, type(row[0])) == ("ann", (2.0, 2), float)
