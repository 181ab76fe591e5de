"""A row of the input: user_id and the features of a user, checked after decoding."""

from collections.abc import Sequence
from typing import Any

from classifier.errors import RecordError
from classifier.features import TOTALS, USER_ID, Features, Value

Row = tuple[Value, ...]  # the features of a user, in the units of the input
Fields = dict[str, Any]  # name -> value, of an Avro record

MAX_USER_ID_LENGTH = 100_000  # characters of up to 4 bytes; key and value must fit into a record of 1 MB


def parse_row(fields: Fields | RecordError, features: Features = TOTALS) -> tuple[str, Row]:
    """Return user_id and row of one record; raise RecordError with the field that is wrong."""
    if isinstance(fields, RecordError):
        raise fields
    try:
        user_id, *values = (fields[name] for name in features.fields)
    except KeyError as missing:
        if USER_ID in fields:
            raise RecordError(f"has no field {missing}") from None
        key = "if it is the table's key, 'value.fields-include' = 'all' keeps it in the value"
        raise RecordError(f"has no field {missing}; {key}") from None
    if type(user_id) is not str:
        raise RecordError(f"user_id must be a string, got {type(user_id).__name__}")
    if len(user_id) > MAX_USER_ID_LENGTH:
        raise RecordError(f"user_id must have at most {MAX_USER_ID_LENGTH} characters, got {len(user_id)}")
    row: list[Value] = []
    for feature, value in zip(features.items, values, strict=True):
        found = feature.value_of(value)
        if found is None:
            raise RecordError(feature.problem(value))
        row.append(found)
    return user_id, tuple(row)


def parse_rows(
    records: Sequence[Fields | RecordError], features: Features = TOTALS
) -> list[tuple[str, Row] | RecordError]:
    """Return `parse_row` of each record, or the error it would raise."""
    columns = parse_columns(records, features)
    if columns is not None:
        return list(zip(*columns, strict=True))
    found: list[tuple[str, Row] | RecordError] = []
    for record in records:
        try:
            found.append(parse_row(record, features))
        except RecordError as error:
            found.append(error)
    return found


def parse_columns(
    records: Sequence[Fields | RecordError], features: Features = TOTALS
) -> tuple[list[str], list[Row]] | None:
    """Return all user_ids and rows; None if a record is not valid, or a value has to be converted.

    Checks whole columns, which takes a quarter of the time of `parse_row`.
    """
    if not records:
        return [], []
    try:
        user_ids, *columns = ([record[name] for record in records] for name in features.fields)  # type: ignore[index]
        if set(map(type, user_ids)) != {str} or max(map(len, user_ids)) > MAX_USER_ID_LENGTH:
            return None
        valid = all(feature.all_valid(column) for feature, column in zip(features.items, columns, strict=True))
    except (KeyError, TypeError, ValueError):
        return None
    return (user_ids, list(zip(*columns, strict=True))) if valid else None
