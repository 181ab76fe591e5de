"""Confluent's wire format: byte 0, schema id (4 bytes, big-endian), body; or schema id in a header, body as value."""

import struct
import uuid

from classifier.errors import RecordError
from classifier.formatting import abbreviated
from classifier.kafka.record import Headers

MAGIC_BYTE = 0  # first byte of every value in Confluent's wire format
PREFIX = struct.Struct(">bI")  # magic byte, schema id
# What stands before a value whose schema id is a GUID in a header, then those 16 bytes: no value begins like that.
GUID_MARK = b"schema guid of the header "
GUID_SIZE = len(GUID_MARK) + 16

SchemaId = int | uuid.UUID


def schema_id_of(data: bytes | None) -> tuple[SchemaId, int]:
    """Return the schema id in Confluent's wire format, and where the body begins."""
    if data is None:
        raise RecordError("no value (a tombstone); for an upsert table use --changelog-mode upsert")
    if data[:1] != b"\0":
        if data.startswith(GUID_MARK) and len(data) >= GUID_SIZE:
            return uuid.UUID(bytes=data[len(GUID_MARK) : GUID_SIZE]), GUID_SIZE
        found = f"first byte 0x{data[0]:02x}" if data else "no bytes"
        raise RecordError(f"not Confluent Avro ({found})")
    if len(data) < PREFIX.size:
        raise RecordError(f"not Confluent Avro (only {len(data)} bytes)")
    return int(PREFIX.unpack_from(data)[1]), PREFIX.size


def with_header(data: bytes, headers: Headers, name: str) -> bytes:
    """Return a value behind the schema id that the header of this name holds; without such a header, the value."""
    found = [value for each, value in headers or () if each == name]
    if not found:
        return data
    schema_id = found[0] if len(found) == 1 and isinstance(found[0], bytes) else b""
    if schema_id[:1] == b"\0" and len(schema_id) == PREFIX.size:
        return schema_id + data
    if schema_id[:1] == b"\1" and len(schema_id) == 17:
        return GUID_MARK + schema_id[1:] + data
    raise RecordError(
        f"header {name} must be byte 1 and a schema's GUID, or byte 0 and its id, got {abbreviated(found)}"
    )
