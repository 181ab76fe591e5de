"""Avro schemas as a registry holds them, brought into one form: full names, each named type defined once.

Guarantee: a schema that `self_contained` returns needs no other, and by `least_size` no value of it is much larger than
its bytes. What is wrong with a schema is a ValueError that names it.
"""

from collections.abc import Mapping
from typing import Any

LEAST_SIZES = {"null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1}
RECORDS = ("record", "error")
NAMED_TYPES = (*RECORDS, "enum", "fixed")
Types = dict[str, Any]  # full name -> definition, in which other named types are names


def qualified(schema: Any, types: Types, namespace: str = "") -> Any:
    """Return a schema in which every named type is its full name; its definition goes into `types`."""
    if isinstance(schema, list):
        return [qualified(each, types, namespace) for each in schema]
    if isinstance(schema, str):
        return schema if schema in LEAST_SIZES else full_name(schema, types, namespace)
    kind = schema["type"]
    if kind in NAMED_TYPES:
        return define(schema, types, namespace)
    if kind == "array":
        return {**schema, "items": qualified(schema["items"], types, namespace)}
    if kind == "map":
        return {**schema, "values": qualified(schema["values"], types, namespace)}
    if isinstance(kind, str) and kind in LEAST_SIZES:
        return schema
    return qualified(kind, types, namespace)  # {"type": {"type": ...}}, {"type": "name"}


def full_name(name: str, types: Types, namespace: str) -> str:
    """Return what a name means: a type of the namespace it stands in, else one that has none."""
    within = f"{namespace}.{name}"
    return within if namespace and "." not in name and (within in types or name not in types) else name


def define(schema: Mapping[str, Any], types: Types, namespace: str) -> str:
    """Put the definition of a named type into `types`; return its full name."""
    within, _, _ = schema["name"].rpartition(".")
    within = within or (schema.get("namespace") or "" if "namespace" in schema else namespace)
    name = schema["name"] if "." in schema["name"] or not within else f"{within}.{schema['name']}"
    known = types.get(name)
    types.setdefault(name, {})  # so that its fields can name it
    kept = {key: value for key, value in schema.items() if key != "namespace" and not key.startswith("__")}
    definition = {**kept, "name": name} if "." in name else {**kept, "name": name, "namespace": ""}
    if schema["type"] in RECORDS:
        fields = [{**each, "type": qualified(each["type"], types, within)} for each in schema["fields"]]
        definition["fields"] = fields
    if known not in (None, definition):
        raise ValueError(f"{name} is defined twice")
    types[name] = definition
    return name


def self_contained(schema: Any, types: Types, defined: set[str]) -> Any:
    """Return a qualified schema with each named type defined where it is met first; `defined` holds those met."""
    if isinstance(schema, list):
        return [self_contained(each, types, defined) for each in schema]
    if isinstance(schema, dict):
        inside = {key: self_contained(schema[key], types, defined) for key in ("items", "values") if key in schema}
        return {**schema, **inside}
    if schema in LEAST_SIZES or schema in defined:
        return schema
    if schema not in types:
        raise ValueError(f"{schema} is not defined")
    defined.add(schema)
    definition = types[schema]
    if definition["type"] not in RECORDS:
        return definition
    fields = [{**each, "type": self_contained(each["type"], types, defined)} for each in definition["fields"]]
    return {**definition, "fields": fields}


def least_size(schema: Any, known: dict[str, int | None]) -> int:
    """Return the fewest bytes that a value takes.

    ValueError for schemas by which a few bytes can make a value without end: recursive ones, and arrays of
    nothing. `known` holds the named types seen, None while inside their definition.
    """
    if isinstance(schema, list):
        if not schema:
            raise ValueError("an empty union")
        return 1 + min(least_size(each, known) for each in schema)
    kind = schema["type"] if isinstance(schema, dict) else schema
    if kind in RECORDS:
        known[schema["name"]] = None
        known[schema["name"]] = size = sum(least_size(each["type"], known) for each in schema["fields"])
    elif kind in ("array", "map"):
        size = 1
        if least_size(schema.get("items", schema.get("values")), known) == 0 and kind == "array":
            raise ValueError("an array of empty items")
    elif kind in ("fixed", "enum"):
        known[schema["name"]] = size = schema.get("size", 1)
        if type(size) is not int or size < 0:
            raise ValueError(f"{schema['name']} has the size {size!r}")
    else:
        found = LEAST_SIZES.get(kind, known.get(kind))
        if found is None:
            raise ValueError(f"{kind} is recursive")
        size = found
    return size


def skimmed(schema: Any, types: Types, names: dict[str, str]) -> Any:
    """Return a qualified schema of the same bytes for reading past values, which no byte can make an error of its own.

    Logical types are gone, whose values Python may not hold; strings are bytes, enums numbers, records of nothing null.
    `names` holds what named types are called then.
    """
    if isinstance(schema, list):
        return [skimmed(each, types, names) for each in schema]
    if isinstance(schema, dict):
        inside = {key: skimmed(schema[key], types, names) for key in ("items", "values") if key in schema}
        return {"type": schema["type"], **inside} if inside else skimmed(schema["type"], types, names)
    if schema in LEAST_SIZES:
        return "bytes" if schema == "string" else schema
    if schema in names:
        return names[schema]
    definition = types[schema]
    if definition["type"] == "enum":
        return "int"
    names[schema] = name = f"skimmed_{len(names)}"
    if definition["type"] == "fixed":
        return {"type": "fixed", "name": name, "size": definition["size"]} if definition["size"] else "null"
    fields = [{"name": each["name"], "type": skimmed(each["type"], types, names)} for each in definition["fields"]]
    # Fields without a byte are left out: records in records can have a billion of them.
    fields = [each for each in fields if each["type"] != "null"]
    if not fields:
        names[schema] = "null"
    return {"type": "record", "name": name, "fields": fields} if fields else "null"


def cause_of(error: Exception) -> str:
    """Return what is wrong with a schema, in words."""
    return "nested too deep" if isinstance(error, RecursionError) else str(error)
