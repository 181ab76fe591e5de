"""Values in Confluent's wire format: byte 0, schema id (4 bytes, big-endian), Avro body. Many are coded at once.

Every byte has to be accounted for: a value that is too short or too long is refused, wherever it lies.
"""

import functools
import io
import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, cast

import fastavro
from fastavro.schema import SchemaParseException

from classifier.errors import RecordError
from classifier.registry import SchemaRegistry, Subject
from classifier.rows import LABEL_FIELDS, Fields

T = TypeVar("T")

MAGIC_BYTE = 0  # first byte of every value in Confluent's wire format
PREFIX = struct.Struct(">bI")  # magic byte, schema id
SEAL = os.urandom(16)  # between records that are coded as one array; no record can be made to contain it
END_OF_ARRAY = b"\0"
# What fastavro raises for bytes that do not fit the schema, found by fuzzing it.
AVRO_ERRORS = (EOFError, ValueError, IndexError, OverflowError, MemoryError, TypeError, KeyError)
BLOCK = 1_000  # records decoded or encoded at once; what this takes fits into a processor's cache


class AvroReader:
    """Decodes values in Confluent's wire format; every byte of each has to be accounted for."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self.schema = functools.cache(registry.by_id)
        self._flat = functools.cache(lambda schema_id: flat_array(self.schema(schema_id)))

    def fields(self, data: bytes | None) -> Fields:
        """Return the fields of one record; RecordError says what is wrong with the bytes."""
        schema_id = schema_id_of(data)
        schema, body = self.schema(schema_id), io.BytesIO(data or b"")
        body.seek(PREFIX.size)
        try:
            record = fastavro.schemaless_reader(body, schema, None)
        except AVRO_ERRORS:
            raise RecordError(f"does not fit its schema id {schema_id}") from None
        if left := len(body.read()):
            raise RecordError(f"{left} bytes too many for its schema id {schema_id}")
        if not isinstance(record, dict):
            raise RecordError(f"schema id {schema_id} is not of a record")
        return record

    def all_fields(self, values: Sequence[bytes]) -> list[Fields | RecordError]:
        """Return the fields of each value, or what is wrong with it."""
        groups: dict[bytes, list[bytes]] = {}
        for value in values:
            groups.setdefault(value[: PREFIX.size], []).append(value)
        decoded = {prefix: self._group(group) for prefix, group in groups.items()}
        if len(decoded) == 1:
            return list(*decoded.values())
        rest = {prefix: iter(found) for prefix, found in decoded.items()}
        return [next(rest[value[: PREFIX.size]]) for value in values]

    def _group(self, values: Sequence[bytes]) -> Sequence[Fields | RecordError]:
        """Decode values of one schema id."""
        try:  # an unknown schema is asked for once, not once for each value
            schema_id = schema_id_of(values[0])
            self.schema(schema_id)
        except RecordError as error:
            return [error] * len(values)
        return self._array(values, schema_id) or [self._one(value) for value in values]

    def _one(self, value: bytes) -> Fields | RecordError:
        try:
            return self.fields(value)
        except RecordError as error:
            return error

    def _array(self, values: Sequence[bytes], schema_id: int) -> list[Fields] | None:
        """Decode values as one Avro array; None if any is bad.

        Each is followed by the seal: a value that is too short or too long shifts what comes after it,
        and then a seal is not where it should be.
        """
        body = io.BytesIO()
        fastavro.schemaless_writer(body, "long", len(values))
        try:
            schema, held = self._flat(schema_id)
            body.write(b"".join([value[PREFIX.size :] + SEAL for value in values]) + END_OF_ARRAY)
            body.seek(0)
            records = cast(list[Fields], fastavro.schemaless_reader(body, schema, None))
        except (RecordError, SchemaParseException, *AVRO_ERRORS):
            return None
        sound = all({record[name] for record in records} == {value} for name, value in held.items())
        return records if sound and len(records) == len(values) else None


def schema_id_of(data: bytes | None) -> int:
    """Return the schema id in Confluent's wire format."""
    if data is None:
        raise RecordError("no value (a tombstone); for an upsert table use --changelog-mode upsert")
    if data[:1] != b"\0":
        found = f"first byte 0x{data[0]:02x}" if data else "no bytes"
        raise RecordError(f"not Confluent Avro ({found})")
    if len(data) < PREFIX.size:
        raise RecordError(f"not Confluent Avro (only {len(data)} bytes)")
    return int(PREFIX.unpack_from(data)[1])


def flat_array(schema: Any) -> tuple[Any, dict[str, Any]]:
    """Return the schema of a sealed array with our optional fields as two, and what every record of it holds beside.

    A union is written as the number of its branch, then the value. As a number and a value it takes three quarters of
    the time, to read and to write. A null shows by its number, and shifts what comes after it.
    """
    if not (isinstance(schema, dict) and schema["type"] == "record"):
        raise RecordError("not a record")
    held: dict[str, Any] = {"seal": SEAL}
    fields = []
    for each in schema["fields"]:
        name, union = each["name"], each["type"]
        if name in LABEL_FIELDS and isinstance(union, list) and len(union) == 2 and "null" in union:
            branch = f"branch of {name}"  # no name of a field has a space
            held[branch] = 1 - union.index("null")
            fields += [{"name": branch, "type": "long"}, {"name": name, "type": union[held[branch]]}]
        else:
            fields.append(each)
    seal = {"name": "seal", "type": {"type": "fixed", "name": "user_classifier_seal", "size": len(SEAL)}}
    return fastavro.parse_schema({"type": "array", "items": {**schema, "fields": [*fields, seal]}}), held


class AvroWriter:
    """Encodes records of one subject in Confluent's wire format, many at once."""

    def __init__(self, subject: Subject) -> None:
        self.prefix = PREFIX.pack(MAGIC_BYTE, subject.schema_id)
        self._array, self._held = flat_array(subject.schema)

    def encode(self, records: Sequence[Fields]) -> list[bytes]:
        """Return one value for each record."""
        if not records:
            return []
        body = io.BytesIO()
        for record in records:
            record.update(self._held)
        fastavro.schemaless_writer(body, self._array, records)
        values = body.getvalue().split(SEAL)[:-1]
        start = io.BytesIO()  # the array begins with its length
        fastavro.schemaless_writer(start, "long", len(records))
        values[0] = values[0][start.tell() :]
        return [self.prefix + value for value in values]


def blocks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut into pieces of BLOCK."""
    return (items[start : start + BLOCK] for start in range(0, len(items), BLOCK))
