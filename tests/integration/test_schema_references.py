"""Schemas with references: in the input, in the key of an upsert input, in the output, and in --check."""

from typing import Any

import pytest

from tests.hostile.records import encoded
from tests.support import inside
from tests.support.pipeline import Pipeline
from tests.support.topics import Outgoing
from tests.support.wire import KEY_SCHEMA, frame

ROW = {"user_id": "ann", "total_amount": 1.5, "num_transactions": 2}
PLACE: dict[str, Any] = {
    "type": "record",
    "name": "Place",
    "namespace": "shop",
    "fields": [{"name": "city", "type": "string"}],
}
STORE: dict[str, Any] = {
    "type": "record",
    "name": "Store",
    "namespace": "shop",
    "fields": [{"name": "at", "type": "Place"}],
}
IN_LINE = {**STORE, "fields": [{"name": "at", "type": PLACE}]}
FIELDS = [
    {"name": "user_id", "type": "string"},
    {"name": "total_amount", "type": "double"},
    {"name": "num_transactions", "type": "long"},
]
STORES: list[dict[str, Any]] = [
    {"name": "first", "type": "shop.Store"},
    {"name": "all", "type": {"type": "array", "items": "Store"}},
]


def total(*fields: dict[str, Any]) -> dict[str, Any]:
    """A row with more fields."""
    return {"type": "record", "name": "Total", "namespace": "shop", "fields": [*fields, *FIELDS]}


def chained(pipeline: Pipeline) -> list[tuple[str, str, int]]:
    """Register Store, which refers to Place; return what refers to both of them."""
    place = f"{pipeline.source}-place"
    store = f"{pipeline.source}-store"
    pipeline.subjects.register(place, PLACE)
    pipeline.subjects.register(store, STORE, ("shop.Place", place, 1))
    return [("shop.Store", store, 1), ("shop.Place", place, 1)]


def rows(pipeline: Pipeline) -> dict[str, tuple[float, int]]:
    """The labelled rows."""
    return {user: (row.total_amount, row.num_transactions) for user, row in pipeline.labelling().items()}


def test_a_chain_of_references_whose_end_is_referred_to_twice(pipeline: Pipeline) -> None:
    """Total -> Store -> Place, and Total -> Place."""
    schema = total(*STORES, {"name": "home", "type": ["null", "Place"]})
    schema_id = pipeline.subjects.register(f"{pipeline.source}-value", schema, *chained(pipeline))
    whole = total({"name": "first", "type": IN_LINE}, STORES[1], {"name": "home", "type": ["null", "Place"]})
    row = {**ROW, "first": {"at": {"city": "Ulm"}}, "all": [{"at": {"city": "Bonn"}}] * 3, "home": {"city": "Aalen"}}
    pipeline.topics.write(pipeline.source, [Outgoing(0, frame(schema_id, encoded(whole, row)), [])])
    finished = inside.run(pipeline.arguments("--check"))
    assert f"ok      subject {pipeline.source}-value: user_id, total_amount, num_transactions" in finished.stdout
    inside.run_to_end(pipeline.arguments())
    assert rows(pipeline) == {"ann": (1.5, 2)}


def test_a_reference_to_an_older_version(pipeline: Pipeline) -> None:
    """The version of the reference is used, not the newest."""
    references = chained(pipeline)
    newer = {**PLACE, "fields": [*PLACE["fields"], {"name": "street", "type": "string", "default": ""}]}
    pipeline.subjects.register(f"{pipeline.source}-place", newer)
    schema_id = pipeline.subjects.register(f"{pipeline.source}-value", total(STORES[0]), *references)
    value = encoded(total({"name": "first", "type": IN_LINE}), {**ROW, "first": {"at": {"city": "Ulm"}}})
    pipeline.topics.write(pipeline.source, [Outgoing(0, frame(schema_id, value), [])])
    inside.run_to_end(pipeline.arguments())
    assert rows(pipeline) == {"ann": (1.5, 2)}


def test_the_user_id_is_a_type_of_another_schema(pipeline: Pipeline) -> None:
    user = {"type": "record", "name": "UserKey", "namespace": "shop", "fields": [{"name": "user_id", "type": "string"}]}
    kind = {"type": "enum", "name": "User", "namespace": "shop", "symbols": ["ann", "bob"]}
    pipeline.subjects.register(f"{pipeline.source}-user", kind)
    fields = [{"name": "user_id", "type": "User"}, *FIELDS[1:]]
    schema = {"type": "record", "name": "Total", "namespace": "shop", "fields": fields}
    reference = ("shop.User", f"{pipeline.source}-user", 1)
    schema_id = pipeline.subjects.register(f"{pipeline.source}-value", schema, reference)
    key = {**user, "fields": [{"name": "user_id", "type": "User"}]}
    key_id = pipeline.subjects.register(f"{pipeline.source}-key", key, reference)
    whole = {**schema, "fields": [{"name": "user_id", "type": kind}, *FIELDS[1:]]}
    values = [frame(schema_id, encoded(whole, {**ROW, "user_id": user_id})) for user_id in ("ann", "bob")]
    deleted = frame(key_id, b"\0")  # ann
    pipeline.topics.write(
        pipeline.source, [*(Outgoing(0, each, []) for each in values), Outgoing(0, None, [], deleted)]
    )
    inside.run_to_end(pipeline.arguments("--changelog-mode", "upsert"))
    assert rows(pipeline) == {"bob": (1.5, 2)}


def test_references_in_the_output(pipeline: Pipeline) -> None:
    references = chained(pipeline)
    store = {"name": "store", "type": ["null", "Store"], "default": None}
    schema = total()["fields"] + [{"name": "label", "type": "int"}, store]
    out = {"type": "record", "name": "Label", "namespace": "shop", "fields": schema}
    pipeline.subjects.register(f"{pipeline.output}-value", out, *references)
    pipeline.subjects.register(f"{pipeline.output}-key", KEY_SCHEMA)
    schema_id = pipeline.subjects.register(f"{pipeline.source}-value", total())
    pipeline.topics.write(pipeline.source, [Outgoing(0, frame(schema_id, encoded(total(), ROW)), [])])
    assert f"ok      subject {pipeline.output}-value: fits" in inside.run(pipeline.arguments("--check")).stdout
    inside.run_to_end(pipeline.arguments())
    # The next start restores it.
    assert "1 users restored" in inside.run_to_end(pipeline.arguments()).stderr


@pytest.mark.parametrize("deep", [False, True])
def test_a_reference_that_does_not_exist(deep: bool, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a permanent deletion; this registry keeps versions in use, so the client's call is patched."""
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.error import SchemaRegistryError

    get_version = SchemaRegistryClient.get_version
    missing = f"{pipeline.source}-{'place' if deep else 'store'}"

    def patched(client: Any, subject: str, *more: Any, **options: Any) -> Any:
        if subject == missing:
            raise SchemaRegistryError(404, 40402, "Version not found")
        return get_version(client, subject, *more, **options)

    monkeypatch.setattr(SchemaRegistryClient, "get_version", patched)
    schema_id = pipeline.subjects.register(f"{pipeline.source}-value", total(STORES[0]), *chained(pipeline)[:1])
    pipeline.topics.write(pipeline.source, [Outgoing(0, frame(schema_id, b""), [])])
    chain = f"refers to shop.Store, subject {pipeline.source}-store version 1, which"
    if deep:
        chain += f" refers to shop.Place, subject {missing} version 1, which"
    chain += " is not in the Schema Registry"
    finished = inside.run(pipeline.arguments("--until-end"))
    assert finished.stderr.splitlines()[-1] == (
        f"user_classifier.py: error: {pipeline.source} [0] at offset 0: schema id {schema_id} {chain};"
        " to skip such records: --error-handling-mode ignore, to keep them: log"
    )
    finished = inside.run(pipeline.arguments("--check"))
    assert f"TO DO   subject {pipeline.source}-value: {chain}; read another topic with -t" in finished.stdout
