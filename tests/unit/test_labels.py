"""Values of the output: encoded and decoded, copied from the input, and the schemas that fit."""

from collections.abc import Mapping
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.errors import RecordError, SchemaError
from classifier.users.changelog import RowBytes
from classifier.users.output_codec import LabelCodec
from tests.support.memory import registry_of
from tests.support.values import ROW, UNION, optional
from tests.support.wire import AGGREGATE_SCHEMA, LABELING_SCHEMA, body, frame, record_schema, unframe

users = st.text(max_size=50)
rows = st.tuples(st.floats(-1e150, 1e150), st.integers(0, 2**63 - 1))


@given(st.lists(st.tuples(users, rows, st.integers(0, 1000)), max_size=5))
def test_labels_are_decoded_as_they_were_encoded(labelled: list[tuple[str, tuple[float, int], int]]) -> None:
    codec = LabelCodec(registry_of(x__value=LABELING_SCHEMA), "x")
    values = codec.encode(labelled)
    assert list(zip(*codec.decode(values), strict=True)) == labelled
    for value, (user_id, (amount, count), label) in zip(values, labelled, strict=True):
        fields = {"user_id": user_id, "total_amount": amount, "num_transactions": count, "label": label}
        assert unframe(LABELING_SCHEMA, value) == fields
        assert value == frame(1, body(LABELING_SCHEMA, fields))


def test_without_a_value_subject_one_is_registered() -> None:
    empty = registry_of()
    LabelCodec(empty, "user.labeling-1")
    columns = {"user_id": "string", "total_amount": "double", "num_transactions": "long", "label": "int"}
    expected = fastavro.parse_schema(record_schema("user_labeling_1_value", **columns))
    assert empty.newest("user.labeling-1-value") == (1, expected)


@pytest.mark.parametrize("names", [["total_amount"], ["num_transactions"], ["total_amount", "visits"]])
def test_a_rebuild_replaces_other_features_by_the_two_totals(names: list[str]) -> None:
    """Also those of a list with only one of the totals."""
    columns = {"user_id": "string", **dict.fromkeys(names, "long"), "label": "int"}
    old = record_schema("out_value", **columns)
    registry = registry_of(x__value=old)
    codec = LabelCodec(registry, "x", replaces_others=True)
    (value,) = codec.encode([("ann", (1.5, 2), 1)])
    assert codec.decode([value]) == (["ann"], [(1.5, 2)], [1])
    assert codec.has_no_row(frame(1, body(old, {"user_id": "ann", **dict.fromkeys(names, 1), "label": 1})))


@pytest.mark.parametrize("narrow", [{"num_transactions": "int"}, {"total_amount": "float"}, {"label": "string"}, None])
@pytest.mark.parametrize("plain", [False, True])
def test_a_value_subject_that_does_not_fit(narrow: dict[str, str] | None, plain: bool) -> None:
    columns = {**UNION, "label": "int", **(narrow or {})}
    schema = record_schema("r", **columns) if narrow else AGGREGATE_SCHEMA
    if plain and narrow:
        schema = {"type": "record", "name": "r", "fields": [{"name": n, "type": kind} for n, kind in columns.items()]}
    with pytest.raises(SchemaError) as caught:
        LabelCodec(registry_of(x__value=schema), "x")
    assert str(caught.value) == (
        "subject x-value is not a record of user_id string, total_amount double, num_transactions long and label int;"
        " delete the subject or choose another output with -o"
    )


@pytest.mark.parametrize("label", [-1, 2**31])
def test_an_invalid_label_is_refused(label: int) -> None:
    """Whatever wrote it: inside the client -1 is a user without a label."""
    wide = record_schema("wide", **UNION, label="long")
    codec = LabelCodec(registry_of(x__value=LABELING_SCHEMA, y__value=wide), "x")
    fields = {"user_id": "ann", "total_amount": 1.0, "num_transactions": 2}
    assert codec.decode([frame(2, body(wide, {**fields, "label": 2**31 - 1}))])[2] == [2**31 - 1]
    with pytest.raises(RecordError, match=r"^has no label from 0 to 2147483647$"):
        codec.decode([frame(2, body(wide, {**fields, "label": label}))])


@pytest.mark.parametrize("null_last", [False, True])
def test_labels_in_a_schema_whose_null_comes_last(null_last: bool) -> None:
    fields = [*optional(*UNION, null_last=null_last)["fields"][:3], {"name": "label", "type": "int"}]
    schema = {"type": "record", "name": "out", "fields": fields}
    codec = LabelCodec(registry_of(x__value=schema), "x")
    (value,) = codec.encode([("ann", (1.5, 2), 1)])
    assert value == frame(1, body(schema, ROW | {"label": 1}))
    assert codec.decode([value]) == (["ann"], [(1.5, 2)], [1])


def row_bytes_of(schema: Any, row: Mapping[str, Any]) -> RowBytes:
    """A row with the value it was read from, of schema id 2."""
    return {"ann": ((row["total_amount"], row["num_transactions"]), frame(2, body(schema, row)))}


@pytest.mark.parametrize("label", [0, 1, 63, 64, 100_000])
def test_a_value_that_was_read_is_written_with_a_label_appended(label: int) -> None:
    codec = LabelCodec(registry_of(x__value=LABELING_SCHEMA, y__value=AGGREGATE_SCHEMA), "x")
    row_bytes = row_bytes_of(AGGREGATE_SCHEMA, ROW)
    (value,) = codec.encode([("ann", (1.5, 2), label)], row_bytes)
    assert value == frame(1, body(LABELING_SCHEMA, ROW | {"label": label}))
    assert [value] == codec.encode([("ann", (1.5, 2), label)])


def test_a_value_of_another_row_or_schema_is_not_copied() -> None:
    mixed = dict(reversed(UNION.items()))
    longer = {**UNION, "more": "long"}
    for columns in (UNION, mixed, longer, UNION | {"total_amount": "float"}):
        schema = record_schema("other", **columns)
        codec = LabelCodec(registry_of(x__value=LABELING_SCHEMA, y__value=schema), "x")
        row_bytes = row_bytes_of(schema, {**ROW, "more": 1})
        for row in ((1.5, 2), (2.5, 2), (1.5, 3)):
            fields = {"user_id": "ann", "total_amount": row[0], "num_transactions": row[1], "label": 1}
            assert codec.encode([("ann", row, 1)], row_bytes) == [frame(1, body(LABELING_SCHEMA, fields))]


def test_an_output_in_another_order_is_written_field_by_field() -> None:
    columns = {"label": "int", **UNION}
    codec = LabelCodec(registry_of(x__value=record_schema("o", **columns), y__value=AGGREGATE_SCHEMA), "x")
    (value,) = codec.encode([("ann", (1.5, 2), 1)], row_bytes_of(AGGREGATE_SCHEMA, ROW))
    assert codec.decode([value]) == (["ann"], [(1.5, 2)], [1])
