"""Values in Confluent's wire format: byte 0, schema id (4 bytes, big-endian), Avro body. Many are coded at once.

Every byte has to be accounted for: a value that is too short or too long is refused, wherever it lies.
"""

import functools
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar, cast

import fastavro
from fastavro.schema import SchemaParseException

from classifier.errors import RecordError
from classifier.row import LABEL_FIELDS, Fields
from classifier.serialization.column_types import CONVERSIONS, Convert, as_it_is, conversion
from classifier.serialization.registry import SchemaRegistry, Subject
from classifier.serialization.schema import RECORDS, Types, cause_of, qualified, skimmed
from classifier.serialization.wire import GUID_MARK, GUID_SIZE, MAGIC_BYTE, PREFIX, SchemaId, schema_id_of

T = TypeVar("T")

SEAL = os.urandom(16)  # between records that are coded as one array; no record can be made to contain it
SEAL_FIELD = {"name": "seal", "type": {"type": "fixed", "name": "user_classifier_seal", "size": len(SEAL)}}
END_OF_ARRAY = b"\0"
# What fastavro raises for bytes that do not fit the schema, found by fuzzing it, and for a schema it does not take.
AVRO_ERRORS = (
    EOFError,
    ValueError,
    IndexError,
    OverflowError,
    MemoryError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
    SchemaParseException,
)
RECORDS_PER_BLOCK = 1_000  # records decoded or encoded at once; what this takes fits into a processor's cache


class RecordFormat(NamedTuple):
    """How values of one schema are read. What nobody asked for is skimmed: its bytes are counted, not understood."""

    record: Any  # schema of one value
    array: Any  # schema of many, each sealed
    held: Mapping[str, Any]  # what every record of the array holds beside
    conversions: Sequence[tuple[str, Convert]]

    def converted(self, records: Sequence[Fields]) -> Sequence[Fields]:
        """Return records with our fields as the rest of the client knows them."""
        for name, convert in self.conversions:
            for record in records:
                record[name] = convert(record[name])
        return records


class AvroReader:
    """Decodes values in Confluent's wire format; every byte of each has to be accounted for.

    A value whose schema id lies in a header is decoded with the header's value before it.
    """

    def __init__(self, registry: SchemaRegistry, form: Callable[[Any], Any] = lambda schema: schema) -> None:
        """`form` puts each schema into another form that takes the same bytes."""

        def schema(schema_id: SchemaId) -> Any:
            found = registry.by_id(schema_id) if isinstance(schema_id, int) else registry.by_guid(str(schema_id))
            return form(found)

        self.schema = functools.cache(schema)
        self._layout = functools.cache(self._layout_of)

    def fields(self, data: bytes | None) -> Fields:
        """Return the fields of one record; RecordError says what is wrong with the bytes."""
        layout, name, start = self._place(data)
        body = io.BytesIO(data or b"")
        body.seek(start)
        try:
            record = cast(Fields, fastavro.schemaless_reader(body, layout.record, None))
        except AVRO_ERRORS:
            raise RecordError(f"does not match its {name}") from None
        if left := len(body.read()):
            raise RecordError(f"{left} bytes too many for its {name}")
        return layout.converted([record])[0]

    def all_fields(self, values: Sequence[bytes]) -> list[Fields | RecordError]:
        """Return the fields of each value, or what is wrong with it."""
        return grouped(values, map(itemgetter(slice(PREFIX.size)), values), self._group)

    def _group(self, values: Sequence[bytes]) -> Sequence[Fields | RecordError]:
        """Decode values that begin alike."""
        if values[0].startswith(GUID_MARK[: PREFIX.size]):
            return grouped(values, map(itemgetter(slice(GUID_SIZE)), values), self._of_schema)
        return self._of_schema(values)

    def _of_schema(self, values: Sequence[bytes]) -> Sequence[Fields | RecordError]:
        """Decode values of one schema."""
        try:  # an unknown schema is asked for once, not once for each value
            schema_id, start = schema_id_of(values[0])
            if isinstance(self.schema(schema_id), list):
                return grouped(values, [branch_prefix(value, start) for value in values], self._alike)
        except RecordError as error:
            return [error] * len(values)
        return self._alike(values)

    def _alike(self, values: Sequence[bytes]) -> Sequence[Fields | RecordError]:
        """Decode values of one schema or, where that is a union, of one type of it."""
        try:
            layout, _, start = self._place(values[0])
        except RecordError as error:
            return [error] * len(values)
        return self._array(values, layout, start) or [self._one(value) for value in values]

    def _one(self, value: bytes) -> Fields | RecordError:
        try:
            return self.fields(value)
        except RecordError as error:
            return error

    def _array(self, values: Sequence[bytes], layout: RecordFormat, start: int) -> Sequence[Fields] | None:
        """Decode values as one Avro array; None if any is bad.

        Each is followed by the seal: a value that is too short or too long shifts what comes after it,
        and then a seal is not where it should be.
        """
        body = io.BytesIO()
        fastavro.schemaless_writer(body, "long", len(values))
        body.write(b"".join([value[start:] + SEAL for value in values]) + END_OF_ARRAY)
        body.seek(0)
        try:
            records = cast(list[Fields], fastavro.schemaless_reader(body, layout.array, None))
        except AVRO_ERRORS:
            return None
        sound = all({record[name] for record in records} == {value} for name, value in layout.held.items())
        return layout.converted(records) if sound and len(records) == len(values) else None

    def _place(self, data: bytes | None) -> tuple[RecordFormat, str, int]:
        """Return how a value is read, what its schema is called, and where the record begins."""
        schema_id, start = schema_id_of(data)
        name = f"schema {'id' if isinstance(schema_id, int) else 'guid'} {schema_id}"
        schema, branch = self.schema(schema_id), None
        if isinstance(schema, list):
            branch, start = branch_of(data or b"", start)
            if not 0 <= branch < len(schema):
                raise RecordError(f"does not match its {name}")
        return self._layout(schema_id, branch, name), name, start

    def _layout_of(self, schema_id: SchemaId, branch: int | None, name: str) -> RecordFormat:
        types: Types = {}
        try:
            schema = qualified(self.schema(schema_id), types)
            return record_format_of(schema if branch is None else schema[branch], types, name)
        except AVRO_ERRORS as error:
            raise RecordError(f"{name} is not a usable Avro schema ({cause_of(error)})") from None


def grouped(
    values: Sequence[bytes],
    prefixes: Iterable[bytes],
    decode: Callable[[Sequence[bytes]], Sequence[Fields | RecordError]],
) -> list[Fields | RecordError]:
    """Decode values of one prefix together; return what is found in the order of the values."""
    order = list(prefixes)
    if len(set(order)) == 1:  # nearly always
        return list(decode(values))
    groups: dict[bytes, list[bytes]] = {}
    for prefix, value in zip(order, values, strict=True):
        groups.setdefault(prefix, []).append(value)
    rest = {prefix: iter(decode(group)) for prefix, group in groups.items()}
    return [next(rest[prefix]) for prefix in order]


def branch_of(data: bytes, start: int) -> tuple[int, int]:
    """Return the number of a union's type, and where its value begins."""
    body = io.BytesIO(data)
    body.seek(start)
    try:
        return cast(int, fastavro.schemaless_reader(body, "long", None)), body.tell()
    except AVRO_ERRORS:
        return -1, start


def branch_prefix(value: bytes, start: int) -> bytes:
    """Return a value up to the type of a union, where that is one byte; else all of it."""
    return value[: start + 1] if value[start : start + 1] < b"\x80" else value


def record_format_of(schema: Any, types: Types, name: str) -> RecordFormat:
    """Return how values of a qualified schema are read; RecordError where they are no records, or not of our types."""
    definition = types.get(schema, {}) if isinstance(schema, str) else {}
    if definition.get("type") not in RECORDS:
        raise RecordError(f"{name} is not a record schema")
    fields, conversions, names = [], [], dict[str, str]()
    for each in definition["fields"]:
        column, kind = each["name"], each["type"]
        if column in CONVERSIONS and (convert := conversion(column, kind, types)) is not as_it_is:
            conversions.append((column, convert))
        as_read = asked(column, kind, types, names) if column in LABEL_FIELDS else skimmed(kind, types, names)
        fields.append({"name": column, "type": as_read})
    record = {"type": "record", "name": "record", "fields": fields}
    return RecordFormat(fastavro.parse_schema(record), *flat_array(record), conversions)


def asked(column: str, schema: Any, types: Types, names: dict[str, str]) -> Any:
    """Return a type of ours as it is read: without its logical type, but text as text."""
    if isinstance(schema, list):
        return [asked(f"{column}_{branch}", each, types, names) for branch, each in enumerate(schema)]
    definition = types.get(schema, {}) if isinstance(schema, str) else schema
    if "string" in (schema, definition.get("type")):
        return "string"
    if definition.get("type") == "enum":
        return {"type": "enum", "name": f"enum_{column}", "symbols": definition["symbols"]}
    return skimmed(schema, types, names)


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
    return fastavro.parse_schema({"type": "array", "items": {**schema, "fields": [*fields, SEAL_FIELD]}}), held


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


def in_blocks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut into pieces of BLOCK."""
    return (items[start : start + RECORDS_PER_BLOCK] for start in range(0, len(items), RECORDS_PER_BLOCK))
