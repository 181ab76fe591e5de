"""Decodes the keys of an upsert input: a record without a value deletes the user that its key names.

Guarantee: a key is decoded to the user_id that the values of this user have, or refused; never to another user_id.
"""

import re
from typing import Any

from classifier.errors import AccessDenied, RecordError, SchemaError
from classifier.formatting import abbreviated
from classifier.serialization.avro import AvroReader
from classifier.serialization.column_types import conversion, unchanged
from classifier.serialization.registry import SchemaRegistry
from classifier.serialization.schema import RECORD_TYPES, Types, qualified

NO_DIGITS = "no digits, though user_id is a number in the values; register the schema of the keys"
DIGITS = re.compile(rb"-?[0-9]{1,40}")


class InputKeys:
    """Keys of an upsert input.

    With a key subject they are Avro: a record with the one field user_id (Flink), or the bare user_id (Kafka Streams,
    ksqlDB, Connect). Without one they are text: the user_id, in digits if it is a number in the values. A key with a
    schema id, in the key or in a header, is Avro in any case. A binary number is refused: the four bytes of 825373492
    are also the digits of 1234.
    """

    def __init__(self, registry: SchemaRegistry, topic: str) -> None:
        self._reader = AvroReader(registry, transform=as_row)
        try:
            subject = registry.newest(f"{topic}-key")
            if subject is not None:
                as_row(subject.schema)
        except RecordError as error:
            append = "if no record of the topic deletes, --changelog-mode append reads it without its keys"
            raise SchemaError(f"subject {topic}-key names no user_id ({error}); {append}") from None
        self.are_avro = subject is not None
        self.are_numbers = not self.are_avro and is_number(registry, topic)

    def __str__(self) -> str:
        """Describe how keys are read, for --check."""
        numbers = " as digits" if self.are_numbers else ""
        return "fits" if self.are_avro else f"none: keys are plain user_ids{numbers}"

    def decode(self, key: bytes, *, has_header: bool = False) -> str:
        """Return the user_id of a key; `has_header`: its schema id comes from a header and was put before it."""
        try:
            if self.are_avro or has_header or key[:1] == b"\0":
                return self._avro(key)
            if self.are_numbers and not DIGITS.fullmatch(key):
                raise RecordError(NO_DIGITS)
            return str(int(key)) if self.are_numbers else key.decode()
        except UnicodeDecodeError:
            raise RecordError(f"key {abbreviated(key)} does not name a user_id") from None
        except RecordError as error:
            raise RecordError(f"key {abbreviated(key)} does not name a user_id ({error})") from None

    def _avro(self, key: bytes) -> str:
        user_id = self._reader.fields(key)["user_id"]
        if type(user_id) is not str:
            raise RecordError("null")
        return user_id


def as_row(schema: Any) -> Any:
    """Return a record schema of user_id with the same encoding as a key schema; RecordError where there is none."""
    types: Types = {}
    root = qualified(schema, types)
    definition = types.get(root, {}) if isinstance(root, str) else {}
    if definition.get("type") not in RECORD_TYPES:  # a record is encoded as its fields and nothing else
        conversion(None, root, types)
        return {"type": "record", "name": "user_classifier_key", "fields": [{"name": "user_id", "type": schema}]}
    names = [each["name"] for each in definition["fields"]]
    if names != ["user_id"]:
        raise RecordError(f"a record of {', '.join(names) or 'nothing'}")
    conversion(None, definition["fields"][0]["type"], types)
    return schema


def is_number(registry: SchemaRegistry, topic: str) -> bool:
    """Return whether user_id is a number in the topic's values; False where its subject cannot be read."""
    try:
        subject = registry.newest(f"{topic}-value")
        types: Types = {}
        root = qualified(subject.schema, types) if subject else ""
        definition = types.get(root, {}) if isinstance(root, str) else {}
        found = [each["type"] for each in definition.get("fields", ()) if each["name"] == "user_id"]
        return any(conversion(None, each, types) is not unchanged for each in found)
    except (RecordError, AccessDenied):
        return False
