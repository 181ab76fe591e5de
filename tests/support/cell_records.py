"""Records of user_cells and user_cell_labels, as local Flink writes them."""

from typing import Any

from fastavro import parse_schema

from tests.support.wire import NAMESPACE, body, frame, schema_id_of, unframe


def key_schema(table: str) -> dict[str, Any]:
    """The schema that CREATE TABLE registers for keys."""
    fields = [{"name": "cell", "type": "int"}]
    return {"type": "record", "name": f"{table}_key", "namespace": NAMESPACE, "fields": fields}


def value_schema(table: str, column: str, kind: str) -> dict[str, Any]:
    """The schema that CREATE TABLE registers for values."""
    fields = [{"name": "cell", "type": "int"}, {"name": column, "type": ["null", kind], "default": None}]
    return {"type": "record", "name": f"{table}_value", "namespace": NAMESPACE, "fields": fields}


CELLS_KEY = key_schema("user_cells")
CELLS_VALUE = value_schema("user_cells", "num_users", "long")
LABELS_KEY = key_schema("user_cell_labels")
LABELS_VALUE = value_schema("user_cell_labels", "label", "int")
PARSED_KEY = parse_schema(LABELS_KEY)
PARSED_VALUE = parse_schema(LABELS_VALUE)


def count_record(ids: tuple[int, int], cell: int, num_users: int) -> tuple[bytes, bytes | None]:
    """Key and value, given the ids of their schemas; a tombstone for a cell without users."""
    key = frame(ids[0], body(CELLS_KEY, {"cell": cell}))
    value = frame(ids[1], body(CELLS_VALUE, {"cell": cell, "num_users": num_users})) if num_users else None
    return key, value


def label_of(key: bytes, value: bytes) -> tuple[int, int]:
    """Cell and label of a record; both parts must name the same cell."""
    fields = unframe(PARSED_VALUE, value)
    if unframe(PARSED_KEY, key)["cell"] != fields["cell"] or schema_id_of(key) == schema_id_of(value):
        raise AssertionError(f"key and value name different cells, or have one schema: {key!r}, {value!r}")
    return fields["cell"], fields["label"]
