"""A row of the input: user_id, total_amount and num_transactions, checked after decoding."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from classifier.errors import RecordError
from classifier.formatting import abbreviated

Row = tuple[float, int]  # total_amount in the currency of the input; num_transactions, a count
Fields = dict[str, Any]  # name -> value, of an Avro record

ROW_FIELDS = ("user_id", "total_amount", "num_transactions")
LABEL_FIELDS = {"user_id": "string", "total_amount": "double", "num_transactions": "long", "label": "int"}
MAX_AMOUNT = 1e150  # squares of amounts, and sums of squares, must stay finite
MAX_USER_ID_LENGTH = 100_000  # characters of up to 4 bytes; key and value must fit into a record of 1 MB


def parse_row(fields: Fields | RecordError) -> tuple[str, Row]:
    """Return user_id and row of one record; raise RecordError with the field that is wrong."""
    if isinstance(fields, RecordError):
        raise fields
    try:
        user_id, amount, count = (fields[name] for name in ROW_FIELDS)
    except KeyError as missing:
        if "user_id" in fields:
            raise RecordError(f"has no field {missing}") from None
        key = "if it is the table's key, 'value.fields-include' = 'all' keeps it in the value"
        raise RecordError(f"has no field {missing}; {key}") from None
    if type(user_id) is not str:
        raise RecordError(f"user_id must be a string, got {type(user_id).__name__}")
    if len(user_id) > MAX_USER_ID_LENGTH:
        raise RecordError(f"user_id must have at most {MAX_USER_ID_LENGTH} characters, got {len(user_id)}")
    if type(amount) not in (float, int) or not -MAX_AMOUNT <= amount <= MAX_AMOUNT:
        raise RecordError(f"total_amount must be a number up to {MAX_AMOUNT:g}, got {abbreviated(amount)}")
    if type(count) is not int or count < 0:
        raise RecordError(f"num_transactions must be a whole number >= 0, got {abbreviated(count)}")
    return user_id, (float(amount), count)


def parse_rows(records: Sequence[Fields | RecordError]) -> list[tuple[str, Row] | RecordError]:
    """Return `parse_row` of each record, or the error it would raise."""
    columns = parse_columns(records)
    if columns is not None:
        return list(zip(*columns, strict=True))
    found: list[tuple[str, Row] | RecordError] = []
    for record in records:
        try:
            found.append(parse_row(record))
        except RecordError as error:
            found.append(error)
    return found


def parse_columns(records: Sequence[Fields | RecordError]) -> tuple[list[str], list[Row]] | None:
    """Return all user_ids and rows, None if a record is not valid or its amount is no float.

    Checks whole columns, which takes a quarter of the time of `parse_row`.
    """
    try:
        user_ids, amounts, counts = ([record[name] for record in records] for name in ROW_FIELDS)  # type: ignore[index]
        types = [set(map(type, column)) for column in (user_ids, amounts, counts)]
        max_length = max(map(len, user_ids), default=0)
        max_amount = np.abs(amounts).max(initial=0.0)
        min_count = min(counts, default=0)
    except (KeyError, TypeError, ValueError):
        return None
    if types != [{str}, {float}, {int}]:
        return None
    if max_length > MAX_USER_ID_LENGTH or not max_amount <= MAX_AMOUNT or min_count < 0:
        return None
    return user_ids, list(zip(amounts, counts, strict=True))
