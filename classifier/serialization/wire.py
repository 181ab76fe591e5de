"""Confluent's wire format: byte 0, schema id (4 bytes, big-endian), body.

A serializer may also put the schema id, or a schema GUID, into a header, and only the body into the value.
`with_header` puts it in front of the value, so that the rest of the client sees one form.
"""

import struct
import uuid

from classifier.errors import RecordError
from classifier.formatting import abbreviated
from classifier.kafka.record import Headers

SchemaId = int | uuid.UUID

MAGIC_BYTE = 0  # first byte of every value with a schema id
PREFIX = struct.Struct(">bI")  # magic byte, schema id
# In front of a value whose header has a GUID: this mark, then the 16 bytes of the GUID. No value begins like that.
GUID_MARK = b"schema guid of the header "
GUID_SIZE = len(GUID_MARK) + 16


def schema_id_of(data: bytes | None) -> tuple[SchemaId, int]:
    """Return the schema id of a value, and where its body starts; raise RecordError for another format."""
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
    """Return a value with the schema id of the header `name` in front; the value itself without that header."""
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
