"""Avro values in Confluent's wire format, decoded and encoded in blocks of records.

Guarantee: every byte of a value is accounted for. A value that is too short or too long is refused, also within a
block.
"""

import functools
import io
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar, cast

import fastavro
from fastavro.schema import SchemaParseException

from classifier.errors import RecordError
from classifier.features import LABEL, TOTALS, Features
from classifier.row import Fields
from classifier.serialization.column_types import Convert, conversion, unchanged
from classifier.serialization.registry import SchemaRegistry, Subject
from classifier.serialization.schema import RECORD_TYPES, Types, qualified, schema_problem, skip_schema
from classifier.serialization.wire import GUID_MARK, GUID_SIZE, MAGIC_BYTE, PREFIX, SchemaId, schema_id_of

T = TypeVar("T")
Decoded = Fields | RecordError  # the fields of a value, or why it cannot be decoded

RECORDS_PER_BLOCK = 1_000  # few enough to stay in a processor's cache
# Follows each record of a block that is encoded as one array. It is random, so no record can be made to contain it.
SEAL = os.urandom(16)
SEAL_FIELD = {"name": "seal", "type": {"type": "fixed", "name": "user_classifier_seal", "size": len(SEAL)}}
END_OF_ARRAY = b"\0"
# Raised by fastavro for bytes that do not match the schema (found by fuzzing), and for schemas that it does not accept.
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


def in_blocks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield slices of RECORDS_PER_BLOCK items."""
    return (items[start : start + RECORDS_PER_BLOCK] for start in range(0, len(items), RECORDS_PER_BLOCK))


# -------------------------------------------------------------------------------------- decoding


class RecordFormat(NamedTuple):
    """How the values of one schema are decoded. Fields that the client does not use are skipped."""

    record: Any  # schema of one value
    array: Any  # schema of an array of values, each followed by the seal
    constants: Mapping[str, Any]  # fields of the array that have the same value in every record
    conversions: Sequence[tuple[str, Convert]]  # column, function

    def convert(self, records: Sequence[Fields]) -> Sequence[Fields]:
        """Convert the columns of each record in place; return the records."""
        for name, convert in self.conversions:
            for record in records:
                record[name] = convert(record[name])
        return records


class AvroReader:
    """Decodes values in Confluent's wire format; every byte of each has to be accounted for.

    If the schema id is in a header, the value is passed with the content of the header in front (`with_header`).
    """

    def __init__(
        self,
        registry: SchemaRegistry,
        features: Features = TOTALS,
        transform: Callable[[Any], Any] = lambda schema: schema,
    ) -> None:
        """`transform` is applied to each schema, and returns one with the same encoding."""
        self.features = features

        def schema(schema_id: SchemaId) -> Any:
            found = registry.by_id(schema_id) if isinstance(schema_id, int) else registry.by_guid(str(schema_id))
            return transform(found)

        self.schema = functools.cache(schema)
        self._record_format = functools.cache(self._make_record_format)

    def fields(self, data: bytes | None) -> Fields:
        """Return the fields of one value; RecordError says what is wrong with the bytes."""
        record_format, name, start = self._format_of(data)
        body = io.BytesIO(data or b"")
        body.seek(start)
        try:
            record = cast(Fields, fastavro.schemaless_reader(body, record_format.record, None))
        except AVRO_ERRORS:
            raise RecordError(f"does not match its {name}") from None
        if left := len(body.read()):
            raise RecordError(f"{left} bytes too many for its {name}")
        return record_format.convert([record])[0]

    def all_fields(self, values: Sequence[bytes]) -> list[Decoded]:
        """Return the fields of each value, or why it cannot be decoded."""
        return decode_by_prefix(values, map(itemgetter(slice(PREFIX.size)), values), self._decode_same_start)

    # Each of these takes values that are more alike than those of the one before: values with the same first bytes,
    # with the same schema, and with the same branch of a union. The last one decodes them as one Avro array.

    def _decode_same_start(self, values: Sequence[bytes]) -> Sequence[Decoded]:
        if values[0].startswith(GUID_MARK[: PREFIX.size]):
            return decode_by_prefix(values, map(itemgetter(slice(GUID_SIZE)), values), self._decode_same_schema)
        return self._decode_same_schema(values)

    def _decode_same_schema(self, values: Sequence[bytes]) -> Sequence[Decoded]:
        try:  # asks for an unknown schema once, not for each value
            schema_id, start = schema_id_of(values[0])
            if isinstance(self.schema(schema_id), list):
                prefixes = [branch_prefix(value, start) for value in values]
                return decode_by_prefix(values, prefixes, self._decode_same_branch)
        except RecordError as error:
            return [error] * len(values)
        return self._decode_same_branch(values)

    def _decode_same_branch(self, values: Sequence[bytes]) -> Sequence[Decoded]:
        try:
            record_format, _, start = self._format_of(values[0])
        except RecordError as error:
            return [error] * len(values)
        return self._decode_array(values, record_format, start) or [self._decode_one(value) for value in values]

    def _decode_array(
        self, values: Sequence[bytes], record_format: RecordFormat, start: int
    ) -> Sequence[Fields] | None:
        """Decode values as one Avro array; return None if any of them is bad.

        Each is followed by the seal. A value that is too short or too long shifts what follows, and then the seal is
        not where it should be.
        """
        body = io.BytesIO()
        fastavro.schemaless_writer(body, "long", len(values))
        body.write(b"".join([value[start:] + SEAL for value in values]) + END_OF_ARRAY)
        body.seek(0)
        try:
            records = cast(list[Fields], fastavro.schemaless_reader(body, record_format.array, None))
        except AVRO_ERRORS:
            return None
        if len(records) != len(values):
            return None
        for name, value in record_format.constants.items():
            if {record[name] for record in records} != {value}:
                return None
        return record_format.convert(records)

    def _decode_one(self, value: bytes) -> Decoded:
        try:
            return self.fields(value)
        except RecordError as error:
            return error

    def _format_of(self, data: bytes | None) -> tuple[RecordFormat, str, int]:
        """Return the format of a value, the name of its schema for messages, and where the record starts."""
        schema_id, start = schema_id_of(data)
        name = f"schema {'id' if isinstance(schema_id, int) else 'guid'} {schema_id}"
        schema = self.schema(schema_id)
        branch = None
        if isinstance(schema, list):
            branch, start = branch_of(data or b"", start)
            if not 0 <= branch < len(schema):
                raise RecordError(f"does not match its {name}")
        return self._record_format(schema_id, branch, name), name, start

    def _make_record_format(self, schema_id: SchemaId, branch: int | None, name: str) -> RecordFormat:
        types: Types = {}
        try:
            schema = qualified(self.schema(schema_id), types)
            return record_format_of(schema if branch is None else schema[branch], types, name, self.features)
        except AVRO_ERRORS as error:
            raise RecordError(f"{name} is not a usable Avro schema ({schema_problem(error)})") from None


def decode_by_prefix(
    values: Sequence[bytes],
    prefixes: Iterable[bytes],
    decode: Callable[[Sequence[bytes]], Sequence[Decoded]],
) -> list[Decoded]:
    """Decode the values of each prefix together; return the results in the order of the values."""
    order = list(prefixes)
    if len(set(order)) == 1:  # nearly always
        return list(decode(values))
    groups: dict[bytes, list[bytes]] = {}
    for prefix, value in zip(order, values, strict=True):
        groups.setdefault(prefix, []).append(value)
    results = {prefix: iter(decode(group)) for prefix, group in groups.items()}
    return [next(results[prefix]) for prefix in order]


def branch_of(data: bytes, start: int) -> tuple[int, int]:
    """Return the index of a union's branch, -1 if it cannot be read, and where the value of that branch starts."""
    body = io.BytesIO(data)
    body.seek(start)
    try:
        return cast(int, fastavro.schemaless_reader(body, "long", None)), body.tell()
    except AVRO_ERRORS:
        return -1, start


def branch_prefix(value: bytes, start: int) -> bytes:
    """Return a value up to the index of the union's branch if that is one byte; otherwise the whole value."""
    return value[: start + 1] if value[start : start + 1] < b"\x80" else value


def record_format_of(schema: Any, types: Types, name: str, features: Features) -> RecordFormat:
    """Return the format of values of a qualified schema.

    Raises
    ------
    RecordError
        If the schema is no record, or a column has a type that is not accepted.
    """
    definition = types.get(schema, {}) if isinstance(schema, str) else {}
    if definition.get("type") not in RECORD_TYPES:
        raise RecordError(f"{name} is not a record schema")
    fields = []
    conversions: list[tuple[str, Convert]] = []
    names: dict[str, str] = {}
    for each in definition["fields"]:
        column = each["name"]
        kind = each["type"]
        is_converted = column in features.fields
        if is_converted:
            convert = conversion(features.by_name.get(column), kind, types)
            if convert is not unchanged:
                conversions.append((column, convert))
        is_used = is_converted or column == LABEL
        read_as = column_schema(column, kind, types, names) if is_used else skip_schema(kind, types, names)
        fields.append({"name": column, "type": read_as})
    record = {"type": "record", "name": "record", "fields": fields}
    array, constants = sealed_array(record, (*features.fields, LABEL))
    return RecordFormat(fastavro.parse_schema(record), array, constants, conversions)


def column_schema(column: str, schema: Any, types: Types, names: dict[str, str]) -> Any:
    """Return the schema of a column without logical types; text stays text, unlike with `skip_schema`."""
    if isinstance(schema, list):
        return [column_schema(f"{column}_{branch}", each, types, names) for branch, each in enumerate(schema)]
    definition = types.get(schema, {}) if isinstance(schema, str) else schema
    if "string" in (schema, definition.get("type")):
        return "string"
    if definition.get("type") == "enum":
        return {"type": "enum", "name": f"enum_{column}", "symbols": definition["symbols"]}
    return skip_schema(schema, types, names)


def sealed_array(schema: Any, optional: Collection[str]) -> tuple[Any, dict[str, Any]]:
    """Return the schema of an array of records, each followed by the seal, and the fields with constant values.

    A column of `optional` that may be null is split into two fields: the index of its union's branch, which is
    constant, and the value. That takes three quarters of the time of a union, for decoding and encoding. A null has
    another index, and shifts what follows.
    """
    if not (isinstance(schema, dict) and schema["type"] == "record"):
        raise RecordError("not a record")
    constants: dict[str, Any] = {"seal": SEAL}
    fields = []
    for each in schema["fields"]:
        name = each["name"]
        union = each["type"]
        if name in optional and isinstance(union, list) and len(union) == 2 and "null" in union:
            branch = f"branch of {name}"  # with spaces, which no field name has
            index = 1 - union.index("null")
            constants[branch] = index
            fields += [{"name": branch, "type": "long"}, {"name": name, "type": union[index]}]
        else:
            fields.append(each)
    array = {"type": "array", "items": {**schema, "fields": [*fields, SEAL_FIELD]}}
    return fastavro.parse_schema(array), constants


# -------------------------------------------------------------------------------------- encoding


class AvroWriter:
    """Encodes records of one subject in Confluent's wire format, many in one call."""

    def __init__(self, subject: Subject, features: Features = TOTALS) -> None:
        self.prefix = PREFIX.pack(MAGIC_BYTE, subject.schema_id)
        self._array, self._constants = sealed_array(subject.schema, features.output_types)

    def encode(self, records: Sequence[Fields]) -> list[bytes]:
        """Return the value of each record. Adds fields of the array to the records."""
        if not records:
            return []
        body = io.BytesIO()
        for record in records:
            record.update(self._constants)
        fastavro.schemaless_writer(body, self._array, records)
        values = body.getvalue().split(SEAL)[:-1]
        length = io.BytesIO()  # the array starts with its length
        fastavro.schemaless_writer(length, "long", len(records))
        values[0] = values[0][length.tell() :]
        return [self.prefix + value for value in values]
