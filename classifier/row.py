"""A row of the input: user_id, and what the user has spent, in (total_amount, num_transactions).

total_amount is in the currency of the input, num_transactions a count. Whatever else a record holds is refused, with
the field that is wrong.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from classifier.errors import RecordError
from classifier.formatting import abbreviated

Row = tuple[float, int]  # total_amount in the currency of the input, num_transactions
Fields = dict[str, Any]  # of an Avro record

ROW_FIELDS = ("user_id", "total_amount", "num_transactions")
LABEL_FIELDS = {"user_id": "string", "total_amount": "double", "num_transactions": "long", "label": "int"}
MAX_AMOUNT = 1e150  # squares of amounts, and sums of these, must stay finite
MAX_USER_ID_LENGTH = 100_000  # characters, of 4 bytes at most; key and value must fit into a record of 1 MB


def parse_row(fields: Fields | RecordError) -> tuple[str, Row]:
    """Return user_id and (total_amount, num_transactions); RecordError names the field that is wrong."""
    if isinstance(fields, RecordError):
        raise fields
    try:
        user_id, amount, count = (fields[name] for name in ROW_FIELDS)
    except KeyError as absent:
        if "user_id" in fields:
            raise RecordError(f"has no field {absent}") from None
        key = "if it is the table's key, 'value.fields-include' = 'all' keeps it in the value"
        raise RecordError(f"has no field {absent}; {key}") from None
    if type(user_id) is not str:
        raise RecordError(f"user_id must be a string, got {type(user_id).__name__}")
    if len(user_id) > MAX_USER_ID_LENGTH:
        raise RecordError(f"user_id must have at most {MAX_USER_ID_LENGTH} characters, got {len(user_id)}")
    if type(amount) not in (float, int) or not -MAX_AMOUNT <= amount <= MAX_AMOUNT:
        raise RecordError(f"total_amount must be a number up to {MAX_AMOUNT:g}, got {abbreviated(amount)}")
    if type(count) is not int or count < 0:
        raise RecordError(f"num_transactions must be a whole number >= 0, got {abbreviated(count)}")
    return user_id, (float(amount), count)


def parse_columns(records: Sequence[Fields | RecordError]) -> tuple[list[str], list[Row]] | None:
    """Do `parse_row` for many records column by column, four times as fast; None where something is to be looked at."""
    try:
        user_ids, amounts, counts = ([record[name] for record in records] for name in ROW_FIELDS)  # type: ignore[index]
        types = [set(map(type, column)) for column in (user_ids, amounts, counts)]
        sizes = max(map(len, user_ids), default=0), np.abs(amounts).max(initial=0.0), min(counts, default=0)
        if (
            types == [{str}, {float}, {int}]
            and sizes[0] <= MAX_USER_ID_LENGTH
            and sizes[1] <= MAX_AMOUNT
            and sizes[2] >= 0
        ):
            return user_ids, list(zip(amounts, counts, strict=True))
    except (KeyError, TypeError, ValueError):
        pass
    return None


def parse_rows(records: Sequence[Fields | RecordError]) -> list[tuple[str, Row] | RecordError]:
    """Do `parse_row` for many records; what it would raise stands in the place of a row."""
    if columns := parse_columns(records):
        return list(zip(*columns, strict=True))
    found: list[tuple[str, Row] | RecordError] = []
    for record in records:
        try:
            found.append(parse_row(record))
        except RecordError as error:
            found.append(error)
    return found
