"""Encodes and decodes records of `user_labeling`: values are a row and its label, keys the user_id."""

import functools
import io
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import fastavro

from classifier.errors import RecordError, SchemaError, SchemaMissing
from classifier.formatting import abbreviated
from classifier.row import LABEL_FIELDS, Fields, Row, parse_columns, parse_row
from classifier.serialization.avro import AVRO_ERRORS, AvroReader, AvroWriter, in_blocks
from classifier.serialization.registry import SchemaRegistry
from classifier.serialization.wire import PREFIX, schema_id_of

LabelColumns = tuple[list[str], list[Row], list[int]]  # user_ids, rows, labels
MAX_LABEL = 2**31 - 1  # largest int of Avro
NO_ROW_BYTES: tuple[None, bytes] = (None, b"")


def label_schema(topic: str) -> dict[str, Any]:
    """Return the value schema of a labels topic, as Confluent Cloud Flink registers it."""
    return {
        "type": "record",
        # Avro names consist of letters, digits and _, and do not begin with a digit.
        "name": re.sub(r"\W|^(?=\d)", "_", topic, flags=re.ASCII) + "_value",
        "namespace": "org.apache.flink.avro.generated.record",
        "fields": [{"name": name, "type": ["null", kind], "default": None} for name, kind in LABEL_FIELDS.items()],
    }


class LabelCodec:
    """Values of `user_labeling`, in the newest schema of its subject."""

    def __init__(self, registry: SchemaRegistry, topic: str) -> None:
        self._reader = AvroReader(registry)
        self._can_append_label = functools.cache(self._is_prefix_of_unlabelled)
        self._encoded_label = functools.cache(self._encode_label)
        self._lacks_schema = functools.cache(self._is_of_missing_schema)
        self.subject_name = name = f"{topic}-value"
        # A narrower type (float, int) would round or refuse this row. It has to be valid, and to be decoded unchanged.
        user_id, row, label = sample = ("é", (0.1, 2**53 + 1), 1)
        fields = dict(zip(LABEL_FIELDS, (user_id, *row, label), strict=True))
        try:
            self._subject = registry.newest(name) or registry.register(name, label_schema(topic))
            self._writer = AvroWriter(self._subject)
            valid = fastavro.validation.validate(fields, self._subject.schema, raise_errors=False)
            fits = valid and self.decode(self.encode([sample])) == ([user_id], [row], [label])
        except (RecordError, *AVRO_ERRORS):
            fits = False
        if not fits:
            raise SchemaError(
                f"subject {name} is not a record of user_id string, total_amount double, num_transactions"
                " long and label int; delete the subject or choose another output with -o"
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
        fields = [
            {"user_id": user_id, "total_amount": amount, "num_transactions": count, "label": label}
            for user_id, (amount, count), label in map(labelled.__getitem__, others)
        ]
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
        record = {"user_id": "", "total_amount": 0.0, "num_transactions": 0, "label": label}
        schema = {**self._subject.schema, "name": "unlabelled", "fields": self._subject.schema["fields"][:-1]}
        body = io.BytesIO()
        fastavro.schemaless_writer(body, schema, record)
        return self._writer.encode([record])[0][PREFIX.size + body.tell() :]

    def lacks_schema(self, value: bytes) -> bool:
        """Return whether the schema of a value is not in the registry."""
        return self._lacks_schema(value[: PREFIX.size])

    def _is_of_missing_schema(self, prefix: bytes) -> bool:
        try:
            self._reader.schema(schema_id_of(prefix)[0])
        except SchemaMissing:
            return True
        except RecordError:  # `decode` says what is wrong
            return False
        return False

    def decode(self, values: Sequence[bytes]) -> LabelColumns:
        """Return user_ids, rows and labels; RecordError for a value that has no row or label."""
        user_ids: list[str] = []
        rows: list[Row] = []
        labels: list[int] = []
        for block in in_blocks(values):
            records = cast(list[Fields], self._reader.all_fields(block))
            found = parse_columns(records) or zip(*map(parse_row, records), strict=True)
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
