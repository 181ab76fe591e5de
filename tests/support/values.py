"""Values of `transactions_aggregate`: a good one, schemas, and the error of one that cannot be read."""

from typing import Any

import pytest

from classifier.errors import RecordError
from classifier.row import parse_row, parse_rows
from classifier.serialization.avro import AvroReader
from tests.support.memory import registry_of
from tests.support.wire import AGGREGATE_SCHEMA, body, frame

ROW = {"user_id": "ann", "total_amount": 1.5, "num_transactions": 2}
GOOD = frame(1, body(AGGREGATE_SCHEMA, ROW))
UNION = {"user_id": "string", "total_amount": "double", "num_transactions": "long"}


def complaint(value: bytes | None, schema: object = AGGREGATE_SCHEMA) -> str:
    """The message of a value that cannot be read."""
    reader = AvroReader(registry_of(x=schema))
    with pytest.raises(RecordError) as caught:
        parse_row(reader.fields(value))
    if value is not None:  # the same in a batch
        (found,) = parse_rows(reader.all_fields([value]))
        assert str(found) == str(caught.value)
    return str(caught.value)


def optional(*columns: str, null_last: bool = False) -> dict[str, Any]:
    """A record schema in which these columns may be null."""
    kinds = {**UNION, "more": "string"}
    fields = [{"name": name, "type": [kind, "null"] if null_last else ["null", kind]} for name, kind in kinds.items()]
    plain = [each if each["name"] in columns else {**each, "type": kinds[str(each["name"])]} for each in fields]
    return {"type": "record", "name": "optional", "fields": plain}
