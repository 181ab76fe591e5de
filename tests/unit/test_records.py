"""Avro in Confluent's framing: what is read and written, and what is said of each malformed value."""

from collections.abc import Mapping
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.avro import AvroReader
from classifier.changelog import Sources
from classifier.errors import RecordError, SchemaError
from classifier.keys import KeyCodec
from classifier.labels import LabelCodec
from classifier.registry import SchemaRegistry
from classifier.rows import user_row, user_rows
from tests.support.memory import registry_of
from tests.support.wire import AGGREGATE_SCHEMA, KEY_SCHEMA, LABELING_SCHEMA, body, frame, record_schema, unframe

ROW = {"user_id": "ann", "total_amount": 1.5, "num_transactions": 2}
GOOD = frame(1, body(AGGREGATE_SCHEMA, ROW))
UNION = {"user_id": "string", "total_amount": "double", "num_transactions": "long"}


def registry(**subjects: object) -> SchemaRegistry:
    """A registry whose schemas have the ids 1, 2, ..., as the subjects are named."""
    return registry_of(**subjects)


def complaint(value: bytes | None, schema: object = AGGREGATE_SCHEMA) -> str:
    """What is said of a value."""
    reader = AvroReader(registry(x=schema))
    with pytest.raises(RecordError) as caught:
        user_row(reader.fields(value))
    if value is not None:  # in a batch it is the same
        (found,) = user_rows(reader.all_fields([value]))
        assert str(found) == str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "no value (a tombstone); for an upsert table use --changelog-mode upsert"),
        (b"", "not Confluent Avro (no bytes)"),
        (b'{"user_id": 1}', "not Confluent Avro (first byte 0x7b)"),
        (b"\0", "not Confluent Avro (only 1 bytes)"),
        (b"\0\0\0\0", "not Confluent Avro (only 4 bytes)"),
        (frame(1, b""), "does not fit its schema id 1"),
        (GOOD + b"\0", "1 bytes too many for its schema id 1"),
        (GOOD + GOOD, "21 bytes too many for its schema id 1"),
        (frame(1, b"\x02\x06\xff\xff\xff" + b"\0" * 20), "does not fit its schema id 1"),
    ],
)
def test_malformed_value(value: bytes | None, message: str) -> None:
    assert complaint(value) == message


@pytest.mark.parametrize("length", range(5, len(GOOD)))
def test_truncated_value(length: int) -> None:
    assert complaint(GOOD[:length]) == "does not fit its schema id 1"


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
def test_field_that_no_user_has(change: dict[str, object], message: str) -> None:
    assert complaint(frame(1, body(AGGREGATE_SCHEMA, ROW | change))) == message


@pytest.mark.parametrize("missing", ROW)
def test_missing_field(missing: str) -> None:
    schema = record_schema("r", **{name: kind for name, kind in UNION.items() if name != missing})
    key = "; where it is the table's key, 'value.fields-include' = 'all' keeps it in the value"
    said = f"has no field '{missing}'{key if missing == 'user_id' else ''}"
    assert complaint(frame(1, body(schema, ROW)), schema) == said


def test_no_record() -> None:
    assert complaint(frame(1, body("string", "ann")), "string") == "schema id 1 is not of a record"


@pytest.mark.parametrize(
    ("kind", "amount"),
    [("double", 2.0), ("float", 2.0), ("long", 2), ("int", 2)],
    ids=["double", "float", "long", "int"],
)
def test_amounts_of_any_number_type(kind: str, amount: float) -> None:
    schema = record_schema("r", **UNION | {"total_amount": kind})
    reader = AvroReader(registry(x=schema))
    user_id, row = user_row(reader.fields(frame(1, body(schema, ROW | {"total_amount": amount}))))
    assert (user_id, row, type(row[0])) == ("ann", (2.0, 2), float)


users = st.text(max_size=50)
rows = st.tuples(st.floats(-1e150, 1e150), st.integers(0, 2**63 - 1))


@given(st.lists(st.tuples(users, rows, st.integers(0, 1000)), max_size=5))
def test_labels_come_back_as_they_were(labelled: list[tuple[str, tuple[float, int], int]]) -> None:
    codec = LabelCodec(registry(x__value=LABELING_SCHEMA), "x")
    values = codec.encode(labelled)
    assert codec.decode(values) == labelled
    for value, (user_id, (amount, count), label) in zip(values, labelled, strict=True):
        fields = {"user_id": user_id, "total_amount": amount, "num_transactions": count, "label": label}
        assert unframe(LABELING_SCHEMA, value) == fields
        assert value == frame(1, body(LABELING_SCHEMA, fields))


@given(st.lists(users, max_size=5))
def test_plain_keys_come_back(user_ids: list[str]) -> None:
    codec = KeyCodec(registry(), "x")
    keys = codec.encode(user_ids)
    assert keys == [user_id.encode() for user_id in user_ids]
    assert [codec.decode(key) for key in keys] == user_ids


@given(st.lists(users, max_size=5))
def test_avro_keys_come_back(user_ids: list[str]) -> None:
    codec = KeyCodec(registry(x__value=LABELING_SCHEMA, x__key=KEY_SCHEMA), "x")
    keys = codec.encode(user_ids)
    assert keys == [frame(2, body(KEY_SCHEMA, {"user_id": user_id})) for user_id in user_ids]
    assert [codec.decode(key) for key in keys] == user_ids


def test_a_key_that_is_no_text() -> None:
    codec = KeyCodec(registry(), "x")
    with pytest.raises(RecordError, match=r"^key b'\\xff' does not name a user_id$"):
        codec.decode(b"\xff")


def test_without_a_value_subject_one_is_registered() -> None:
    empty = registry()
    LabelCodec(empty, "user.labeling-1")
    columns = {"user_id": "string", "total_amount": "double", "num_transactions": "long", "label": "int"}
    expected = fastavro.parse_schema(record_schema("user_labeling_1_value", **columns))
    assert empty.newest("user.labeling-1-value") == (1, expected)


@pytest.mark.parametrize("narrow", [{"num_transactions": "int"}, {"total_amount": "float"}, {"label": "string"}, None])
@pytest.mark.parametrize("plain", [False, True])
def test_a_value_subject_that_does_not_fit(narrow: dict[str, str] | None, plain: bool) -> None:
    columns = {**UNION, "label": "int", **(narrow or {})}
    schema = record_schema("r", **columns) if narrow else AGGREGATE_SCHEMA
    if plain and narrow:
        schema = {"type": "record", "name": "r", "fields": [{"name": n, "type": kind} for n, kind in columns.items()]}
    with pytest.raises(SchemaError) as caught:
        LabelCodec(registry(x__value=schema), "x")
    assert str(caught.value) == (
        "subject x-value is not a record of user_id string, total_amount double, num_transactions long and label int;"
        " delete the subject or choose another output with -o"
    )


def test_two_bad_values_do_not_make_two_good_ones() -> None:
    """Read as one array without a look at what lies between, the first would be two rows and the second none."""
    ann, bob = (body(AGGREGATE_SCHEMA, ROW | {"user_id": user_id}) for user_id in ("ann", "bob"))
    too_long, too_short = frame(1, ann + bytes(16) + bob), frame(1, b"\0")
    reader = AvroReader(registry(x=AGGREGATE_SCHEMA))
    assert [str(found) for found in reader.all_fields([too_long, too_short])] == [
        f"{16 + len(bob)} bytes too many for its schema id 1",
        "does not fit its schema id 1",
    ]


def test_a_bad_value_does_not_spoil_its_neighbours() -> None:
    reader = AvroReader(registry(x=AGGREGATE_SCHEMA))
    others = [frame(1, body(AGGREGATE_SCHEMA, ROW | {"user_id": f"user {number}"})) for number in range(5)]
    found = user_rows(reader.all_fields([*others[:3], GOOD[:-1], *others[3:]]))
    assert isinstance(found.pop(3), RecordError)
    assert found == [(f"user {number}", (1.5, 2)) for number in range(5)]


def optional(*columns: str, null_last: bool = False) -> dict[str, Any]:
    """A record schema in which these columns may be null."""
    kinds = {**UNION, "more": "string"}
    fields = [{"name": name, "type": [kind, "null"] if null_last else ["null", kind]} for name, kind in kinds.items()]
    plain = [each if each["name"] in columns else {**each, "type": kinds[str(each["name"])]} for each in fields]
    return {"type": "record", "name": "optional", "fields": plain}


@pytest.mark.parametrize("null_last", [False, True])
@pytest.mark.parametrize("columns", [tuple(UNION), (*UNION, "more"), ("user_id",), ("num_transactions", "more"), ()])
def test_any_fields_may_be_optional(columns: tuple[str, ...], null_last: bool) -> None:
    schema = optional(*columns, null_last=null_last)
    reader = AvroReader(registry(x=schema))
    good = [ROW | {"user_id": f"user {number}", "more": "x"} for number in range(3)]
    nulls = [good[0] | {name: None} for name in columns]
    values = [frame(1, body(schema, each)) for each in [*good, *nulls]]
    assert user_rows(reader.all_fields(values[:3])) == [(f"user {number}", (1.5, 2)) for number in range(3)]
    found = user_rows(reader.all_fields(values))
    assert found[:3] == [(f"user {number}", (1.5, 2)) for number in range(3)]
    assert [isinstance(each, RecordError) for each in found[3:]] == [name != "more" for name in columns]


@pytest.mark.parametrize("null_last", [False, True])
def test_labels_in_a_schema_whose_null_comes_last(null_last: bool) -> None:
    fields = [*optional(*UNION, null_last=null_last)["fields"][:3], {"name": "label", "type": "int"}]
    schema = {"type": "record", "name": "out", "fields": fields}
    codec = LabelCodec(registry(x__value=schema), "x")
    (value,) = codec.encode([("ann", (1.5, 2), 1)])
    assert value == frame(1, body(schema, ROW | {"label": 1}))
    assert codec.decode([value]) == [("ann", (1.5, 2), 1)]


def test_values_of_several_schemas_keep_their_places() -> None:
    narrow = record_schema("narrow", **UNION | {"total_amount": "float", "num_transactions": "int"})
    reader = AvroReader(registry(x=AGGREGATE_SCHEMA, y=narrow))
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
    assert user_rows(reader.all_fields(values)) == [(f"user {number}", (1.5, 2)) for number in range(6)]
    assert isinstance(user_rows(reader.all_fields([*values[:2], b"{}", *values[2:]]))[2], RecordError)


def source_of(schema: Any, row: Mapping[str, Any]) -> Sources:
    """A row as it was read, with a value of schema id 2."""
    return {"ann": ((row["total_amount"], row["num_transactions"]), frame(2, body(schema, row)))}


@pytest.mark.parametrize("label", [0, 1, 63, 64, 100_000])
def test_a_value_that_was_read_is_written_with_its_label(label: int) -> None:
    codec = LabelCodec(registry(x__value=LABELING_SCHEMA, y__value=AGGREGATE_SCHEMA), "x")
    sources = source_of(AGGREGATE_SCHEMA, ROW)
    (value,) = codec.encode([("ann", (1.5, 2), label)], sources)
    assert value == frame(1, body(LABELING_SCHEMA, ROW | {"label": label}))
    assert [value] == codec.encode([("ann", (1.5, 2), label)])


def test_a_value_of_another_row_or_schema_is_not_taken() -> None:
    mixed = dict(reversed(UNION.items()))
    longer = {**UNION, "more": "long"}
    for columns in (UNION, mixed, longer, UNION | {"total_amount": "float"}):
        schema = record_schema("other", **columns)
        codec = LabelCodec(registry(x__value=LABELING_SCHEMA, y__value=schema), "x")
        sources = source_of(schema, {**ROW, "more": 1})
        for row in ((1.5, 2), (2.5, 2), (1.5, 3)):
            fields = {"user_id": "ann", "total_amount": row[0], "num_transactions": row[1], "label": 1}
            assert codec.encode([("ann", row, 1)], sources) == [frame(1, body(LABELING_SCHEMA, fields))]


def test_an_output_in_another_order_is_written_field_by_field() -> None:
    columns = {"label": "int", **UNION}
    codec = LabelCodec(registry(x__value=record_schema("o", **columns), y__value=AGGREGATE_SCHEMA), "x")
    (value,) = codec.encode([("ann", (1.5, 2), 1)], source_of(AGGREGATE_SCHEMA, ROW))
    assert codec.decode([value]) == [("ann", (1.5, 2), 1)]
