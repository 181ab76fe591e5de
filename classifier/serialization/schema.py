"""Avro schemas in one form: full names, each named type defined once.

Guarantee: a schema returned by `self_contained` needs no other schema, and if it passed `min_size`, no value of it is
much larger in memory than its bytes. A ValueError names what is wrong with a schema.
"""

from collections.abc import Mapping
from typing import Any

Types = dict[str, Any]  # full name -> definition, in which other named types are names

MIN_SIZES = {"null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1}
RECORD_TYPES = ("record", "error")
NAMED_TYPES = (*RECORD_TYPES, "enum", "fixed")


def qualified(schema: Any, types: Types, namespace: str = "") -> Any:
    """Return a schema in which every named type is replaced by its full name; add the definitions to `types`."""
    if isinstance(schema, list):
        return [qualified(each, types, namespace) for each in schema]
    if isinstance(schema, str):
        return schema if schema in MIN_SIZES else full_name(schema, types, namespace)
    kind = schema["type"]
    if kind in NAMED_TYPES:
        return define(schema, types, namespace)
    if kind == "array":
        return {**schema, "items": qualified(schema["items"], types, namespace)}
    if kind == "map":
        return {**schema, "values": qualified(schema["values"], types, namespace)}
    if isinstance(kind, str) and kind in MIN_SIZES:
        return schema
    return qualified(kind, types, namespace)  # {"type": {"type": ...}}, {"type": "name"}


def full_name(name: str, types: Types, namespace: str) -> str:
    """Return the full name of a reference: a type of its own namespace, else one without a namespace."""
    within = f"{namespace}.{name}"
    return within if namespace and "." not in name and (within in types or name not in types) else name


def define(schema: Mapping[str, Any], types: Types, namespace: str) -> str:
    """Add the definition of a named type to `types`; return its full name."""
    within, _, _ = schema["name"].rpartition(".")
    if not within:
        within = schema.get("namespace") or "" if "namespace" in schema else namespace
    name = schema["name"] if "." in schema["name"] or not within else f"{within}.{schema['name']}"
    known = types.get(name)
    types.setdefault(name, {})  # so that the fields can refer to the type itself
    definition = {key: value for key, value in schema.items() if key != "namespace" and not key.startswith("__")}
    definition["name"] = name
    if "." not in name:
        definition["namespace"] = ""
    if schema["type"] in RECORD_TYPES:
        definition["fields"] = [{**each, "type": qualified(each["type"], types, within)} for each in schema["fields"]]
    if known not in (None, definition):
        raise ValueError(f"{name} is defined twice")
    types[name] = definition
    return name


def self_contained(schema: Any, types: Types, defined: set[str]) -> Any:
    """Return a qualified schema with each named type defined at its first use; `defined` collects their names."""
    if isinstance(schema, list):
        return [self_contained(each, types, defined) for each in schema]
    if isinstance(schema, dict):
        inner = {key: self_contained(schema[key], types, defined) for key in ("items", "values") if key in schema}
        return {**schema, **inner}
    if schema in MIN_SIZES or schema in defined:
        return schema
    if schema not in types:
        raise ValueError(f"{schema} is not defined")
    defined.add(schema)
    definition = types[schema]
    if definition["type"] not in RECORD_TYPES:
        return definition
    fields = [{**each, "type": self_contained(each["type"], types, defined)} for each in definition["fields"]]
    return {**definition, "fields": fields}


def min_size(schema: Any, known: dict[str, int | None]) -> int:
    """Return the number of bytes of the smallest value.

    Raises
    ------
    ValueError
        For schemas with which a few bytes can describe a value of any size: recursive ones, and arrays of empty items.

    Notes
    -----
    `known` has the sizes of the named types so far, None while inside their definition.
    """
    if isinstance(schema, list):
        if not schema:
            raise ValueError("an empty union")
        return 1 + min(min_size(each, known) for each in schema)
    kind = schema["type"] if isinstance(schema, dict) else schema
    if kind in RECORD_TYPES:
        known[schema["name"]] = None
        size = sum(min_size(each["type"], known) for each in schema["fields"])
        known[schema["name"]] = size
        return size
    if kind in ("array", "map"):
        if min_size(schema.get("items", schema.get("values")), known) == 0 and kind == "array":
            raise ValueError("an array of empty items")
        return 1
    if kind in ("fixed", "enum"):
        size = schema.get("size", 1)
        known[schema["name"]] = size
        if type(size) is not int or size < 0:
            raise ValueError(f"{schema['name']} has the size {size!r}")
        return size
    found = MIN_SIZES.get(kind, known.get(kind))
    if found is None:
        raise ValueError(f"{kind} is recursive")
    return found


def skip_schema(schema: Any, types: Types, names: dict[str, str]) -> Any:
    """Return a schema with the same encoding, for skipping values: any bytes of the right length are valid.

    Without logical types, whose values Python may not be able to hold; with bytes for strings, numbers for enums, and
    null for records without fields. `names` maps the named types to their new names.
    """
    if isinstance(schema, list):
        return [skip_schema(each, types, names) for each in schema]
    if isinstance(schema, dict):
        inner = {key: skip_schema(schema[key], types, names) for key in ("items", "values") if key in schema}
        return {"type": schema["type"], **inner} if inner else skip_schema(schema["type"], types, names)
    if schema in MIN_SIZES:
        return "bytes" if schema == "string" else schema
    if schema in names:
        return names[schema]
    definition = types[schema]
    if definition["type"] == "enum":
        return "int"
    name = f"skipped_{len(names)}"
    names[schema] = name
    if definition["type"] == "fixed":
        return {"type": "fixed", "name": name, "size": definition["size"]} if definition["size"] else "null"
    fields = [{"name": each["name"], "type": skip_schema(each["type"], types, names)} for each in definition["fields"]]
    # Fields without bytes are left out: nested records can have a billion of them.
    fields = [each for each in fields if each["type"] != "null"]
    if not fields:
        names[schema] = "null"
        return "null"
    return {"type": "record", "name": name, "fields": fields}


def schema_problem(error: Exception) -> str:
    """Return what is wrong with a schema, from the error that it caused."""
    return "nested too deep" if isinstance(error, RecursionError) else str(error)
