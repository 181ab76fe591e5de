"""The fields of a row: which Avro types are accepted, how they are converted, and the SQL for the others.

Each type may also be nullable; a row with a null is then a bad record.

user_id           string, whatever its logical type (a UUID is its text), and enum: the text. int, long and decimals of
                  scale 0: the digits. Other types have several texts for one value (1.50 and 1.5, true and TRUE, a
                  timestamp).
total_amount      double, float, int, long and decimal, as the nearest double (ties to even). A double is exact for 15
                  digits, and for whole numbers up to 2**53. Equal values are rounded alike, so a row and its
                  retraction cancel.
num_transactions  int, long and decimals of scale 0, up to 2**63 - 1.
other features    int, long, float, double: as they are, or in the wider type of the output. Decimals as the nearest
                  double. Timestamps in milliseconds and microseconds, also local ones, and dates: the number in the
                  record.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any, NamedTuple

from classifier.errors import RecordError
from classifier.features import (
    AMOUNT,
    COUNT,
    DEFAULT_TYPES,
    LABEL,
    LARGEST,
    TIMES,
    TOTALS,
    TYPES,
    USER_ID,
    Feature,
    Features,
)
from classifier.serialization.schema import RECORD_TYPES, Types, qualified

Convert = Callable[[Any], Any]  # from the value of the plain Avro type, without logical types; null stays null

TEXT_TYPES = {"string", "enum"}
INTEGER_TYPES = set(LARGEST)
NUMBER_TYPES = {"double", "float", *INTEGER_TYPES}
# Logical types of int and long that are not plain numbers, also those that no feature may have.
TIME_TYPES = {
    *TIMES,
    *(f"{time}-{unit}" for time in ("time", "timestamp", "local-timestamp") for unit in ("millis", "micros", "nanos")),
}
MAX_LONG = 2**63 - 1
MAX_PRECISION = 1_000  # digits of a decimal; SQL has 38, and 10**scale must stay small
NO_RECORD = "is not a record"
# The SQL type that is always accepted, and the expression of statement 4 for the column.
SQL = {USER_ID: ("STRING", USER_ID), AMOUNT: ("DOUBLE", "SUM(amount)"), COUNT: ("BIGINT", "COUNT(purchase_id)")}


def row_type_problem(schema: Any, features: Features = TOTALS) -> str:
    """Return why no value of a schema is a row; empty if values are, or values of one type of a union are."""
    types: Types = {}
    root = qualified(schema, types)
    branches = root if isinstance(root, list) else [root]
    problems = [record_type_problem(types.get(str(each), {}), types, features) for each in branches]
    if "" in problems:
        return ""
    return next((each for each in problems if each != NO_RECORD), NO_RECORD)


def record_type_problem(definition: Mapping[str, Any], types: Types, features: Features) -> str:
    """Return why no value of one type is a row; empty if values are."""
    if definition.get("type") not in RECORD_TYPES:
        return NO_RECORD
    fields = {each["name"]: each["type"] for each in definition["fields"]}
    try:
        for name in features.fields:
            if name not in fields:
                return f"has no field {name}"
            conversion(features.by_name.get(name), fields[name], types)
    except RecordError as error:
        return str(error)
    return ""


def conversion(feature: Feature | None, schema: Any, types: Types) -> Convert:
    """Return the function that converts values of this schema for a feature, or for user_id if that is None.

    RecordError for a type that is not accepted.
    """
    kinds = kinds_of(schema, types)
    found = None
    if kinds:
        found = user_id_conversion(kinds) if feature is None else feature_conversion(feature, kinds)
    if found is None:
        raise RecordError(type_problem(feature, names_of(kinds)))
    return found


def type_problem(feature: Feature | None, names: str) -> str:
    """Return the message for a field of these types, with the SQL that gives it another."""
    name = feature.name if feature else USER_ID
    if name not in SQL:
        type_ = feature.type if feature else ""
        return f"{name} is of type {names}, but the output has it as {type_}; CAST it to that in the SQL statement"
    sql_type, expression = SQL[name]
    return (
        f"{name} is of type {names}; write CAST({expression} AS {sql_type}) AS {name} in statement 4, and"
        f" {name} {sql_type} in statement 3"
    )


def names_of(kinds: Set["Kind"]) -> str:
    """Return the names of kinds for a message."""
    return " or ".join(sorted(kind.name for kind in kinds)) or "null"


class Kind(NamedTuple):
    """A type of a column: its Avro name or the name of its logical type; the scale of a decimal."""

    name: str
    scale: int | None = None


def kinds_of(schema: Any, types: Types) -> set[Kind]:
    """Return the kinds of a field, without null."""
    found = {kind_of(each, types) for each in (schema if isinstance(schema, list) else [schema])}
    return found - {Kind("null")}


def kind_of(schema: Any, types: Types) -> Kind:
    """Return the kind of a qualified schema that is no union."""
    if isinstance(schema, str):
        schema = types.get(schema, schema)
    if isinstance(schema, str):
        return Kind(schema)
    base = str(schema["type"])
    logical = schema.get("logicalType")
    if logical == "decimal" and base in ("bytes", "fixed") and is_decimal(schema):
        precision = schema["precision"]
        scale = schema.get("scale", 0)
        return Kind(f"decimal({precision}, {scale})", scale)
    return Kind(str(logical) if base in INTEGER_TYPES and str(logical) in TIME_TYPES else base)


def is_decimal(schema: Mapping[str, Any]) -> bool:
    """Whether precision and scale are valid; otherwise Avro treats the type as plain bytes."""
    precision = schema.get("precision")
    scale = schema.get("scale", 0)
    if type(precision) is not int or type(scale) is not int:
        return False
    return 0 <= scale <= precision and 0 < precision <= MAX_PRECISION


def decimal_scale(kinds: Set[Kind]) -> int | None:
    """Return the scale if a decimal is the only kind, else None."""
    return next(iter(kinds)).scale if len(kinds) == 1 else None


def user_id_conversion(kinds: Set[Kind]) -> Convert | None:
    """Return the conversion to a user_id, None if a value of these kinds has several texts."""
    names = {kind.name for kind in kinds}
    if names <= TEXT_TYPES:
        return unchanged
    if names <= INTEGER_TYPES:
        return int_to_text
    return decimal_to_text if decimal_scale(kinds) == 0 else None


def feature_conversion(feature: Feature, kinds: Set[Kind]) -> Convert | None:
    """Return the conversion to a value of a feature, None if a value of these kinds is none."""
    names = {kind.name for kind in kinds}
    scale = decimal_scale(kinds)
    if feature.units_per_day:
        return unchanged if names == {feature.type} else None
    if feature.is_whole:
        if names <= INTEGER_TYPES:
            return unchanged
        return decimal_to_int if scale == 0 else None
    if names <= NUMBER_TYPES:
        return int_to_float if names & INTEGER_TYPES else unchanged
    if scale is None:
        return None
    divisor = 10**scale
    return lambda value: decimal_to_float(value, divisor)


def feature_type(name: str, schema: Any, types: Types) -> str | None:
    """Return the type that a field of this schema has in the output; None if it cannot be a feature."""
    kinds = kinds_of(schema, types)
    if not kinds or name in (USER_ID, LABEL):
        return None
    if name in DEFAULT_TYPES:
        type_ = DEFAULT_TYPES[name]
    elif len(kinds) == 1 and (kind := next(iter(kinds)).name) in TYPES:
        type_ = kind
    else:
        type_ = "long" if {kind.name for kind in kinds} <= INTEGER_TYPES else "double"
    return type_ if feature_conversion(Feature(name, type_), kinds) else None


def feature_types(schema: Any) -> dict[str, str]:
    """Return the fields of a schema that can be features, by name, with the type that each has in the output."""
    types: Types = {}
    found = ((name, feature_type(name, kind, types)) for name, kind in fields_of(schema, types))
    return first_by_name((name, type_) for name, type_ in found if type_ is not None)


def field_types(schema: Any) -> dict[str, str]:
    """Return all fields of a schema by name, each with the names of its types."""
    types: Types = {}
    return first_by_name((name, names_of(kinds_of(kind, types))) for name, kind in fields_of(schema, types))


def fields_of(schema: Any, types: Types) -> Iterator[tuple[str, Any]]:
    """Yield name and qualified type of each field, of a union those of all its records; add definitions to `types`."""
    root = qualified(schema, types)
    for branch in root if isinstance(root, list) else [root]:
        definition = types.get(branch, {}) if isinstance(branch, str) else {}
        yield from ((each["name"], each["type"]) for each in definition.get("fields", ()))


def first_by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the first value of each name, in the order of the names."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def wider_type(type_: str, other: str) -> str:
    """Return `other` if it is a type of numbers that holds all numbers of `type_`; otherwise `type_`."""
    wider = {"int": ("long", "double"), "float": ("double",), "long": ("double",)}
    return other if other in wider.get(type_, ()) else type_


def unchanged(value: Any) -> Any:
    """Return the value itself."""
    return value


def int_to_text(value: int | None) -> str | None:
    """Return the digits of a whole number; null for thousands of digits, which Python does not write."""
    try:
        return None if value is None else str(value)
    except ValueError:
        return None


def int_to_float(value: float | None) -> float | None:
    """Return a number as a double."""
    return None if value is None else float(value)


def unscaled_value(value: bytes | None) -> int | None:
    """Return the unscaled number of a decimal; null for no bytes, which Java does not accept either."""
    return int.from_bytes(value, "big", signed=True) if value else None


def decimal_to_text(value: bytes | None) -> str | None:
    """Return the digits of a decimal of scale 0."""
    return int_to_text(unscaled_value(value))


def decimal_to_float(value: bytes | None, divisor: int) -> float | None:
    """Return the double nearest to a decimal: Python rounds the quotient of two whole numbers only once."""
    unscaled = unscaled_value(value)
    try:
        return None if unscaled is None else unscaled / divisor
    except OverflowError:
        return float("inf")


def decimal_to_int(value: bytes | None) -> float | None:
    """Return a decimal of scale 0 as an int; as a float above MAX_LONG, and the row check then refuses it."""
    number = unscaled_value(value)
    return number if number is None or number <= MAX_LONG else decimal_to_float(value, 1)
