"""Encodes and decodes records of `user_labeling`: values are a row and its label, keys the user_id."""

import functools
import io
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import fastavro

from classifier.errors import RecordError, SchemaError, SchemaMissing
from classifier.features import LABEL, TOTALS, USER_ID, Features
from classifier.formatting import abbreviated
from classifier.row import Fields, Row, parse_columns, parse_row
from classifier.serialization.avro import AVRO_ERRORS, AvroReader, AvroWriter, in_blocks
from classifier.serialization.column_types import feature_types, field_types, row_type_problem
from classifier.serialization.registry import SchemaRegistry, Subject
from classifier.serialization.wire import PREFIX, schema_id_of

LabelColumns = tuple[list[str], list[Row], list[int]]  # user_ids, rows, labels
NO_FEATURES = Features(())
MAX_LABEL = 2**31 - 1  # largest int of Avro
NO_ROW_BYTES: tuple[None, bytes] = (None, b"")


def label_schema(topic: str, features: Features = TOTALS) -> dict[str, Any]:
    """Return the value schema of a labels topic, as Confluent Cloud Flink registers it."""
    types = features.avro_types
    return {
        "type": "record",
        # Avro names consist of letters, digits and _, and do not begin with a digit.
        "name": re.sub(r"\W|^(?=\d)", "_", topic, flags=re.ASCII) + "_value",
        "namespace": "org.apache.flink.avro.generated.record",
        "fields": [{"name": name, "type": ["null", kind], "default": None} for name, kind in types.items()],
    }


def find_subject(registry: SchemaRegistry, topic: str, features: Features, *, replaces_others: bool) -> Subject:
    """Return the newest value schema of the output; register one if there is none, or to replace other features."""
    name = f"{topic}-value"
    wanted = label_schema(topic, features)
    newest = registry.newest(name)
    if newest is None:
        return registry.register(name, wanted)
    if replaces_others and isinstance(newest.schema, dict) and has_other_features(newest.schema, features):
        # A new version has to have the name of the record.
        without_namespace = {key: value for key, value in wanted.items() if key != "namespace"}
        return registry.register(name, {**without_namespace, "name": newest.schema["name"]})
    return newest


def has_other_features(schema: Any, features: Features) -> bool:
    """Return whether a value schema of the output has other features than these, or has them as other types.

    The two totals may have any types here; whether they hold a row is then seen by writing one.
    """
    fields = field_types(schema)
    if not isinstance(schema, dict) or LABEL not in fields or row_type_problem(schema, NO_FEATURES):
        return False  # no labels
    found = feature_types(schema)
    optional = {each["name"] for each in schema["fields"] if isinstance(each["type"], list) and "null" in each["type"]}
    if found.keys() - optional - set(features.names):
        return False  # not written by this client, whose fields may all be null
    if features.are_default:
        return not found.keys() <= set(features.names) <= fields.keys()
    return found != {each.name: each.type for each in features.items}


def check_label_schema(subject_name: str, schema: Any, features: Features) -> None:
    """Raise SchemaError if a value schema of the output has other features than these, or has them as other types."""
    if has_other_features(schema, features):
        found = feature_types(schema)
        columns = ", ".join(f"{name} {type_}" for name, type_ in found.items()) or "none"
        wanted = ", ".join(f"{each.name} {each.type}" for each in features.items)
        raise SchemaError(
            f"subject {subject_name} has other features ({columns}) than this run ({wanted});"
            f" add --features {','.join(found)}, choose another output with -o, or run with --rebuild"
        )


class LabelCodec:
    """Values of `user_labeling`, in the newest schema of its subject."""

    def __init__(
        self, registry: SchemaRegistry, topic: str, features: Features = TOTALS, *, replaces_others: bool = False
    ) -> None:
        """`replaces_others`: a schema with other features is replaced by a new version of it (--rebuild)."""
        self.features = features
        self._reader = AvroReader(registry, features)
        self._can_append_label = functools.cache(self._is_prefix_of_unlabelled)
        self._encoded_label = functools.cache(self._encode_label)
        self._has_no_row = functools.cache(self._is_without_row)
        self.schema_missing = False  # whether `has_no_row` met a schema that is not in the registry
        self.subject_name = name = f"{topic}-value"
        # A narrower type (float, int) would round or refuse this row. It has to be valid, and to be decoded unchanged.
        user_id, row, label = sample = ("é", tuple(each.largest_sample for each in features.items), 1)
        fields = dict(zip(features.output_types, (user_id, *row, label), strict=True))
        try:
            self._subject = find_subject(registry, topic, features, replaces_others=replaces_others)
            self._writer = AvroWriter(self._subject, features)
            valid = fastavro.validation.validate(fields, self._subject.schema, raise_errors=False)
            fits = valid and self.decode(self.encode([sample])) == ([user_id], [row], [label])
        except (RecordError, *AVRO_ERRORS):
            fits = False
        if fits or not features.are_default:
            check_label_schema(name, self._subject.schema, features)
        if not fits:
            columns = [USER_ID + " string", *(f"{each.name} {each.type}" for each in features.items)]
            raise SchemaError(
                f"subject {name} is not a record of {', '.join(columns)} and label int; delete the subject or choose"
                " another output with -o"
            )

    def encode(
        self,
        labelled: Sequence[tuple[str, Row, int]],
        row_bytes: Mapping[str, tuple[Row, bytes]] = MappingProxyType({}),
    ) -> list[bytes]:
        """Return a value for each user, row and label.

        `row_bytes` holds, by user, a row and the value it was read from. Where the schema of the input is that of the
        output without the label, the label is appended to these bytes: seven times as fast as encoding.
        """
        prefix, can_append, tail, size = self._writer.prefix, self._can_append_label, self._encoded_label, PREFIX.size
        values: list[bytes] = []
        others: list[int] = []  # indices of the values to encode
        for user_id, row, label in labelled:
            known, value = row_bytes.get(user_id, NO_ROW_BYTES)
            if known == row and can_append(value[:size]):
                values.append(prefix + value[size:] + tail(label))
            else:
                others.append(len(values))
                values.append(b"")
        fields: list[Fields] = []
        if others:
            user_ids, rows, labels = zip(*map(labelled.__getitem__, others), strict=True)
            names = tuple(self.features.output_types)
            fields = [dict(zip(names, each)) for each in zip(user_ids, *zip(*rows), labels)]  # noqa: B905  twice as fast
        for index, value in zip(others, self._writer.encode(fields), strict=True):
            values[index] = value
        return values

    def _is_prefix_of_unlabelled(self, prefix: bytes) -> bool:
        """Return whether values with this prefix have the schema of the output without the label."""
        if prefix[:1] != b"\0":  # the schema id was in a header
            return False
        schema = self._reader.schema(schema_id_of(prefix)[0])
        if not (isinstance(schema, dict) and schema["type"] == "record"):
            return False
        fields = [(each["name"], each["type"]) for each in schema["fields"]]
        ours = [(each["name"], each["type"]) for each in self._subject.schema["fields"]]
        return fields == ours[:-1] and ours[-1][0] == "label"

    def _encode_label(self, label: int) -> bytes:
        """Return the bytes of a value after the fields that precede the label."""
        values = ("", *(convert(0) for convert in self.features.converters), label)
        record = dict(zip(self.features.output_types, values, strict=True))
        schema = {**self._subject.schema, "name": "unlabelled", "fields": self._subject.schema["fields"][:-1]}
        body = io.BytesIO()
        fastavro.schemaless_writer(body, schema, record)
        return self._writer.encode([record])[0][PREFIX.size + body.tell() :]

    def has_no_row(self, value: bytes) -> bool:
        """Return whether a value has no row: its schema is not in the registry, or has other features."""
        return self._has_no_row(value[: PREFIX.size])

    def _is_without_row(self, prefix: bytes) -> bool:
        try:
            schema = self._reader.schema(schema_id_of(prefix)[0])
        except SchemaMissing:
            self.schema_missing = True
            return True
        except RecordError:  # `decode` says what is wrong
            return False
        return has_other_features(schema, self.features)

    def decode(self, values: Sequence[bytes]) -> LabelColumns:
        """Return user_ids, rows and labels; RecordError for a value that has no row or label."""
        user_ids: list[str] = []
        rows: list[Row] = []
        labels: list[int] = []
        for block in in_blocks(values):
            records = cast(list[Fields], self._reader.all_fields(block))
            found = parse_columns(records, self.features) or zip(
                *(parse_row(record, self.features) for record in records), strict=True
            )
            for column, more in zip((user_ids, rows), found, strict=True):
                column += cast(Any, more)
            labels += [cast(int, record.get("label")) for record in records]
        are_numbers = set(map(type, labels)) <= {int}
        if not (are_numbers and min(labels, default=0) >= 0 and max(labels, default=0) <= MAX_LABEL):
            raise RecordError(f"has no label from 0 to {MAX_LABEL}")
        return user_ids, rows, labels


class KeyCodec:
    """Keys of a topic: Avro records of user_id if the topic has a key subject, else user_id as UTF-8."""

    def __init__(self, registry: SchemaRegistry, topic: str) -> None:
        self._reader = AvroReader(registry)
        self.subject_name = f"{topic}-key"
        try:
            subject = registry.newest(self.subject_name)
            self._writer = None if subject is None else AvroWriter(subject)
            fits = self.decode(self.encode(["é"])[0]) == "é"
        except (RecordError, *AVRO_ERRORS):
            fits = False
        if not fits:
            raise SchemaError(
                f"subject {topic}-key is not a record of one string user_id; delete the subject or choose another topic"
            )

    @property
    def are_avro(self) -> bool:
        """Whether keys are Avro records."""
        return self._writer is not None

    def encode(self, user_ids: Sequence[str]) -> list[bytes]:
        """Return the key of each user."""
        if self._writer is None:
            return [user_id.encode() for user_id in user_ids]
        return self._writer.encode([{"user_id": user_id} for user_id in user_ids])

    def decode(self, key: bytes) -> str:
        """Return the user a key names."""
        try:
            return key.decode() if self._writer is None else str(self._reader.fields(key)["user_id"])
        except (UnicodeDecodeError, KeyError):
            raise RecordError(f"key {abbreviated(key)} does not name a user_id") from None
        except RecordError as error:
            raise type(error)(f"key {abbreviated(key)} does not name a user_id ({error})") from None
