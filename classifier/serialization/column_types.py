"""The three columns of a row: which Avro types are read, as what, and what to write in SQL where one is not.

Each may be null beside its type; a value that is null is then no row.

user_id           string, whatever its logical type (a UUID is its text), and enum: the text. int, long and decimals of
                  scale 0: their digits. All else has more than one text (1.50 and 1.5, true and TRUE, a timestamp).
total_amount      double, float, int, long and decimal, as the nearest double (of two as near, the even one). A double
                  holds 15 digits, 2**53 in whole numbers. Equal values round alike, so a row and its retraction cancel.
num_transactions  int, long and decimals of scale 0, up to 2**63 - 1.
"""

from collections.abc import Callable, Mapping, Set
from typing import Any, NamedTuple

from classifier.errors import RecordError
from classifier.serialization.schema import RECORDS, Types, qualified

Convert = Callable[[Any], Any]  # of what is read without regard to logical types; null stays null

TEXTS, WHOLE = {"string", "enum"}, {"int", "long"}
NUMBERS = {"double", "float", *WHOLE}
MAX_LONG = 2**63 - 1
MAX_PRECISION = 1_000  # digits of a decimal, of which SQL has 38; a schema must not make a number without end
TIMES = ("time", "timestamp", "local-timestamp")
TIMED = {"date", *(f"{time}-{unit}" for time in TIMES for unit in ("millis", "micros", "nanos"))}
NO_RECORD = "is not a record"
# What SQL calls the type that always fits, and how statement 4 makes the column.
SQL = {
    "user_id": ("STRING", "user_id"),
    "total_amount": ("DOUBLE", "SUM(amount)"),
    "num_transactions": ("BIGINT", "COUNT(purchase_id)"),
}


class Kind(NamedTuple):
    """A type as the columns know it: its Avro name, or that of a logical type; the scale of decimals."""

    name: str
    scale: int | None = None


def kind_of(schema: Any, types: Types) -> Kind:
    """Return the kind of a qualified schema that is no union."""
    schema = types.get(schema, schema) if isinstance(schema, str) else schema
    if isinstance(schema, str):
        return Kind(schema)
    base, logical = str(schema["type"]), schema.get("logicalType")
    if logical == "decimal" and base in ("bytes", "fixed") and is_decimal(schema):
        precision, scale = schema["precision"], schema.get("scale", 0)
        return Kind(f"decimal({precision}, {scale})", scale)
    return Kind(str(logical) if base in WHOLE and str(logical) in TIMED else base)


def is_decimal(schema: Mapping[str, Any]) -> bool:
    """Return whether precision and scale are those of a decimal; by Avro's rules it is plain bytes otherwise."""
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if type(precision) is not int or type(scale) is not int:
        return False
    return 0 <= scale <= precision and 0 < precision <= MAX_PRECISION


def kinds_of(schema: Any, types: Types) -> set[Kind]:
    """Return the kinds that a field may have, beside null."""
    found = {kind_of(each, types) for each in (schema if isinstance(schema, list) else [schema])}
    return found - {Kind("null")}


def conversion(column: str, schema: Any, types: Types) -> Convert:
    """Return what makes a column's value of what is read; RecordError for a type that is not read."""
    kinds = kinds_of(schema, types)
    found = CONVERSIONS[column](kinds) if kinds else None
    if found is None:
        told = " or ".join(sorted(kind.name for kind in kinds)) or "null"
        sql, made = SQL[column]
        raise RecordError(
            f"{column} is of type {told}; write CAST({made} AS {sql}) AS {column} in statement 4, and {column} {sql}"
            " in statement 3"
        )
    return found


def user_id_conversion(kinds: Set[Kind]) -> Convert | None:
    """Return what makes a text of a user_id, None where the text is not the only one."""
    names = {kind.name for kind in kinds}
    if names <= TEXTS:
        return as_it_is
    if names <= WHOLE:
        return digits
    return (lambda value: digits(whole(value))) if the_scale(kinds) == 0 else None


def total_amount_conversion(kinds: Set[Kind]) -> Convert | None:
    """Return what makes a float of a total_amount, None where it is no number."""
    names, scale = {kind.name for kind in kinds}, the_scale(kinds)
    if names <= NUMBERS:
        return nearest_double if names & WHOLE else as_it_is
    if scale is None:
        return None
    divisor = 10**scale
    return lambda value: quotient(value, divisor)


def num_transactions_conversion(kinds: Set[Kind]) -> Convert | None:
    """Return what makes an int of a num_transactions, None where it is no whole number."""
    if {kind.name for kind in kinds} <= WHOLE:
        return as_it_is
    return count if the_scale(kinds) == 0 else None


def the_scale(kinds: Set[Kind]) -> int | None:
    """Return the scale where the only type is a decimal."""
    return next(iter(kinds)).scale if len(kinds) == 1 else None


def as_it_is(value: Any) -> Any:
    """Return the value."""
    return value


def digits(value: int | None) -> str | None:
    """Return a whole number's digits, null where there are thousands of them: Python does not write these."""
    try:
        return None if value is None else str(value)
    except ValueError:
        return None


def nearest_double(value: float | None) -> float | None:
    """Return a number as a double."""
    return None if value is None else float(value)


def whole(value: bytes | None) -> int | None:
    """Return a decimal's unscaled number, None where there is none: not even Java reads no bytes as one."""
    return int.from_bytes(value, "big", signed=True) if value else None


def quotient(value: bytes | None, divisor: int) -> float | None:
    """Return the double nearest to a decimal; Python rounds the quotient of two whole numbers once."""
    unscaled = whole(value)
    try:
        return None if unscaled is None else unscaled / divisor
    except OverflowError:
        return float("inf")


def count(value: bytes | None) -> float | None:
    """Return a decimal of scale 0 as an int; as a float where `user_labeling` cannot hold it, which is then refused."""
    number = whole(value)
    return number if number is None or number <= MAX_LONG else quotient(value, 1)


CONVERSIONS: Mapping[str, Callable[[Set[Kind]], Convert | None]] = {
    "user_id": user_id_conversion,
    "total_amount": total_amount_conversion,
    "num_transactions": num_transactions_conversion,
}


def row_type_problem(schema: Any) -> str:
    """Return why no value of a schema is a row; nothing where values are, be it of one type of a union."""
    types: Types = {}
    root = qualified(schema, types)
    complaints = [
        record_misfit(types.get(str(each), {}), types) for each in (root if isinstance(root, list) else [root])
    ]
    return "" if "" in complaints else next((each for each in complaints if each != NO_RECORD), NO_RECORD)


def record_misfit(definition: Mapping[str, Any], types: Types) -> str:
    """Return why no value of one type is a row."""
    if definition.get("type") not in RECORDS:
        return NO_RECORD
    fields = {each["name"]: each["type"] for each in definition["fields"]}
    try:
        for column in CONVERSIONS:
            if column not in fields:
                return f"has no field {column}"
            conversion(column, fields[column], types)
    except RecordError as error:
        return str(error)
    return ""
