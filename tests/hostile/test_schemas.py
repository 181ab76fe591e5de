"""Schemas are input, too: some are refused before anything is decoded with them."""

from typing import Any

import pytest

from classifier.serialization.registry import SchemaRegistry
from tests.hostile.records import COLUMNS
from tests.support import inside
from tests.support.pipeline import Pipeline
from tests.support.topics import Outgoing
from tests.support.wire import NAMESPACE, body, frame

ROW = {"user_id": "ann", "total_amount": 1.0, "num_transactions": 1}
NODE = {"type": "record", "name": "node", "fields": [{"name": "next", "type": ["null", "node"]}]}
EMPTY = {"type": "record", "name": "empty", "fields": []}


def with_field(kind: Any) -> dict[str, Any]:
    """The columns of the aggregate and another one."""
    fields = [{"name": name, "type": each} for name, each in COLUMNS.items()]
    return {
        "type": "record",
        "name": "row",
        "namespace": NAMESPACE,
        "fields": [*fields, {"name": "more", "type": kind}],
    }


def nested(depth: int) -> Any:
    """Arrays in arrays."""
    kind: Any = "long"
    for _ in range(depth):
        kind = {"type": "array", "items": kind}
    return kind


ENDLESS = {
    "recursive": (NODE, f"{NAMESPACE}.node is recursive"),
    "recursive through an array": (
        {**NODE, "fields": [{"name": "all", "type": {"type": "array", "items": "node"}}]},
        f"{NAMESPACE}.node is recursive",
    ),
    "recursive through a map": (
        {**NODE, "fields": [{"name": "all", "type": {"type": "map", "values": "node"}}]},
        f"{NAMESPACE}.node is recursive",
    ),
    "array of nulls": ({"type": "array", "items": "null"}, "an array of empty items"),
    "array of empty records": ({"type": "array", "items": EMPTY}, "an array of empty items"),
}


@pytest.mark.parametrize(("kind", "cause"), ENDLESS.values(), ids=ENDLESS)
def test_schemas_by_which_a_few_bytes_make_an_endless_value(kind: Any, cause: str, pipeline: Pipeline) -> None:
    schema_id = pipeline.subjects.register(f"{pipeline.source}-more", with_field(kind))
    endless = frame(schema_id, body(with_field("long"), {**ROW, "more": 2**40}))
    pipeline.topics.write(pipeline.source, [Outgoing(0, endless, [])])
    finished = inside.run(pipeline.arguments("--until-end"))
    assert finished.code == 1
    where = f"{pipeline.source} [0] at offset 0: schema id {schema_id}"
    assert f"{where} is not a usable Avro schema ({cause}); to skip" in finished.stderr


SIDE = {"type": "record", "name": "side", "fields": [{"name": "x", "type": "long"}]}
PAIR = {"type": "record", "name": "two", "fields": [{"name": "left", "type": SIDE}, {"name": "right", "type": "side"}]}


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (PAIR, {"left": {"x": 1}, "right": {"x": 2}}),
        (nested(10), []),
        ({"type": "map", "values": "null"}, {"x": None}),
    ],
    ids=["a type used twice", "arrays in arrays", "a map of nulls"],
)
def test_similar_schemas_that_are_harmless(kind: Any, content: Any, pipeline: Pipeline) -> None:
    schema = with_field(kind)
    schema_id = pipeline.subjects.register(f"{pipeline.source}-more", schema)
    pipeline.topics.write(pipeline.source, [Outgoing(0, frame(schema_id, body(schema, {**ROW, "more": content})), [])])
    inside.run_to_end(pipeline.arguments())
    assert {user: row[1:3] for user, row in pipeline.labelling().items()} == {"ann": (1.0, 1)}


def test_a_schema_nested_too_deep(pipeline: Pipeline) -> None:
    schema_id = pipeline.subjects.register(f"{pipeline.source}-more", with_field(nested(400)))
    pipeline.topics.write(pipeline.source, [Outgoing(0, frame(schema_id, b""), [])])
    finished = inside.run(pipeline.arguments("--until-end"))
    assert finished.code == 1
    assert f"{pipeline.source} [0] at offset 0: " in finished.stderr


@pytest.mark.parametrize("mode", ["retract", "upsert", "append"])
def test_an_unknown_schema_is_requested_once_per_batch(
    mode: str, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested: list[int] = []
    by_id = SchemaRegistry.by_id

    def counted(registry: SchemaRegistry, schema_id: int) -> Any:
        requested.append(schema_id)
        return by_id(registry, schema_id)

    monkeypatch.setattr(SchemaRegistry, "by_id", counted)
    unknown = 987_654
    n_records = 500
    records = [Outgoing(0, frame(unknown, str(number).encode()), []) for number in range(n_records)]
    pipeline.topics.write(pipeline.source, records)
    arguments = pipeline.arguments("--error-handling-mode", "ignore", "--changelog-mode", mode)
    finished = inside.run_to_end(arguments)
    n_batches = finished.output.count("records cannot be read")
    assert f"the first: {pipeline.source} [0] at offset 0: schema id {unknown}" in finished.output
    assert 0 < requested.count(unknown) <= 2 * n_batches < n_records
