"""Schemas in one form: full names, definitions, minimum sizes, and schemas for skipping values."""

import json
from typing import Any

import fastavro
import pytest

from classifier.serialization.schema import Types, min_size, qualified, self_contained, skip_schema

INNER = {"type": "record", "name": "inner", "fields": [{"name": "x", "type": "int"}]}


def record(name: str, *kinds: Any, **more: Any) -> dict[str, Any]:
    """Return a record schema with a field of each type."""
    fields: Any = [{"name": f"f{number}", "type": kind} for number, kind in enumerate(kinds)]
    return {"type": "record", "name": name, **more, "fields": fields}


def names_of(schema: Any) -> Any:
    """Return the types of a record's fields after qualification."""
    types: Types = {}
    return [each["type"] for each in types[qualified(schema, types)]["fields"]]


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        (record("r", INNER, "inner", namespace="a.b"), ["a.b.inner", "a.b.inner"]),
        (record("a.b.r", INNER, "a.b.inner", namespace="ignored"), ["a.b.inner", "a.b.inner"]),
        (record("r", {**INNER, "namespace": "c"}, "c.inner", namespace="a"), ["c.inner", "c.inner"]),
        (record("r", {**INNER, "namespace": ""}, "inner", namespace="a"), ["inner", "inner"]),
        (record("r", {**INNER, "namespace": None}, "inner", namespace="a"), ["inner", "inner"]),
        (record("r", INNER, {"type": "inner"}), ["inner", "inner"]),
        (record("r", {"type": INNER}, {"type": ["null", "inner"]}), ["inner", ["null", "inner"]]),
    ],
)
def test_full_names(schema: Any, names: list[Any]) -> None:
    assert names_of(schema) == names


def whole(schema: Any, **referred: Any) -> Any:
    """Return a self-contained schema, given the schemas it refers to."""
    types: Types = {}
    for each in referred.values():
        qualified(each, types)
    return self_contained(qualified(schema, types), types, set())


def test_a_type_is_defined_at_its_first_use() -> None:
    found = whole(record("r", ["null", "inner"], "outer", "inner"), inner=INNER, outer=record("outer", "inner"))
    kinds = [each["type"] for each in found["fields"]]
    assert kinds[0] == ["null", {**INNER, "namespace": ""}]
    assert kinds[1]["fields"][0]["type"] == kinds[2] == "inner"
    parsed: Any = fastavro.parse_schema(found)
    assert parsed["name"] == "r"


def test_a_reference_before_the_definition() -> None:
    """Allowed since Avro 1.12."""
    found = whole(record("r", "inner", INNER))
    assert [each["type"] for each in found["fields"]] == [{**INNER, "namespace": ""}, "inner"]


@pytest.mark.parametrize(
    ("schema", "cause"),
    [
        (record("r", "nowhere"), "nowhere is not defined"),
        (record("r", INNER, {**INNER, "fields": []}), "inner is defined twice"),
        (record("r", record("r", "int")), "r is defined twice"),
        (record("r", []), "an empty union"),
        (record("r", {"type": "fixed", "name": "f", "size": -1}), "f has the size -1"),
        (record("r", {"type": "fixed", "name": "f", "size": "4"}), "f has the size '4'"),
        (record("r", {"type": "array", "items": {"type": "fixed", "name": "f", "size": 0}}), "an array of empty items"),
        (record("r", ["null", "r"]), "r is recursive"),
    ],
)
def test_invalid_schemas(schema: Any, cause: str) -> None:
    with pytest.raises(ValueError, match=f"^{cause}$"):
        min_size(whole(schema), {})


def test_skipped_fields_have_plain_types_of_the_same_encoding() -> None:
    enum = {"type": "enum", "name": "e", "symbols": ["A"]}
    fixed = {"type": "fixed", "name": "f", "size": 12, "logicalType": "duration"}
    kinds = [
        {"type": "int", "logicalType": "date"},
        {"type": "string", "logicalType": "uuid"},
        enum,
        "e",
        fixed,
        "f",
        {"type": "map", "values": "string"},
        {"type": "array", "items": ["null", INNER]},
        record("empty", "null", {"type": "fixed", "name": "nil", "size": 0}),
    ]
    types: Types = {}
    found = [skip_schema(each["type"], types, {}) for each in types[qualified(record("r", *kinds), types)]["fields"]]
    assert found[:4] == ["int", "bytes", "int", "int"]
    assert found[4] == found[5] == {"type": "fixed", "name": "skipped_0", "size": 12}
    assert found[6] == {"type": "map", "values": "bytes"}
    fields = [{"name": "x", "type": "int"}]
    assert found[7] == {"type": "array", "items": ["null", {"type": "record", "name": "skipped_0", "fields": fields}]}
    assert found[8] == "null"


def test_nested_records_without_bytes_are_skipped_in_no_time() -> None:
    """40 levels: one value would contain 2**40 records."""
    kind: Any = "null"
    for level in range(40):
        kind = record(f"level{level}", kind, kind if isinstance(kind, str) else kind["name"])
    types: Types = {}
    assert skip_schema(qualified(json.loads(json.dumps(kind)), types), types, {}) == "null"
