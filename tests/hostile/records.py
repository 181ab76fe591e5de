"""Records that are no rows, each with the cause that the client must name, and unusual valid ones."""

import io
import json
import math
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import fastavro
import requests

from tests.support.pipeline import Pipeline
from tests.support.subjects import Subjects
from tests.support.topics import Outgoing
from tests.support.wire import AGGREGATE_SCHEMA, Headers, body, frame, record_schema

UNKNOWN_ID = 999_999
HIGHEST_ID = 2**32 - 1
LONGEST_USER_ID = 100_000
IN_THE_KEY = "if it is the table's key, 'value.fields-include' = 'all' keeps it in the value"
ROW = {"user_id": "User_bad", "total_amount": 10.0, "num_transactions": 2}
COLUMNS = {"user_id": "string", "total_amount": "double", "num_transactions": "long"}
HEADERS: Headers = [("trace", b"\x00\xff"), ("trace", None)]
KEY = b"a key"


class Bad(NamedTuple):
    """A record that cannot be read."""

    value: bytes | None
    cause: str
    headers: Headers = HEADERS
    key: bytes | None = KEY

    def outgoing(self) -> Outgoing:
        """The record, in partition 0."""
        return Outgoing(0, self.value, self.headers, self.key)


class Schemas:
    """Registers the schemas of bad and unusual records."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._subjects = pipeline.subjects
        self._topic = pipeline.source
        self.own = pipeline.schema_id

    def value(self, schema: Any, record: Any) -> bytes:
        """A value in another schema."""
        name = f"{self._topic}-{abs(hash(json.dumps(schema)))}"
        return frame(self._subjects.register(name, schema), encoded(schema, record))

    def json_id(self) -> int:
        """The id of a schema that is not Avro."""
        return register_json(self._subjects, f"{self._topic}-json")


def encoded(schema: Any, record: Any) -> bytes:
    """The Avro encoding of a value of any type."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
    return out.getvalue()


def register_json(subjects: Subjects, subject: str) -> int:
    """Register a JSON schema and return its id."""
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
    wanted = {"schema": json.dumps(schema), "schemaType": "JSON"}
    answer = requests.post(f"{subjects.url}/subjects/{subject}/versions", json=wanted, timeout=10)
    answer.raise_for_status()
    return int(answer.json()["id"])


def columns(**changed: str) -> dict[str, Any]:
    """The schema of the aggregate with other types."""
    return record_schema("other", **{**COLUMNS, **changed})


def bad_records(schemas: Schemas) -> list[Bad]:
    """Every kind of record that is no row."""
    return [bad for kind in KINDS for bad in kind(schemas)]


def unframed(schemas: Schemas) -> list[Bad]:
    """Not in Confluent's wire format."""
    good = frame(schemas.own, body(AGGREGATE_SCHEMA, ROW))
    short = [Bad(good[:size], f"not Confluent Avro (only {size} bytes)") for size in range(1, 5)]
    return [
        Bad(None, "no value (a tombstone); for an upsert table use --changelog-mode upsert"),
        Bad(b"", "not Confluent Avro (no bytes)"),
        *short,
        Bad(b"\1" + good[1:], "not Confluent Avro (first byte 0x01)"),
        Bad(json.dumps(ROW).encode(), "not Confluent Avro (first byte 0x7b)"),
        Bad(bytes(range(255, 0, -1)), "not Confluent Avro (first byte 0xff)"),
        *(
            Bad(frame(unknown, good[5:]), f"schema id {unknown} is not in the Schema Registry")
            for unknown in (0, UNKNOWN_ID, 2**31, HIGHEST_ID)
        ),
    ]


def misfits(schemas: Schemas) -> list[Bad]:
    """Too short or too long for the schema."""
    good = frame(schemas.own, body(AGGREGATE_SCHEMA, ROW))
    cuts = [Bad(good[:size], f"does not match its schema id {schemas.own}") for size in range(5, len(good))]
    many = f"{len(good) - 5} bytes too many for its schema id {schemas.own}"
    return [*cuts, Bad(good + b"\0", f"1 bytes too many for its schema id {schemas.own}"), Bad(good + good[5:], many)]


def other_schemas(schemas: Schemas) -> list[Bad]:
    """Well-formed values of schemas that are not the aggregate's."""
    stranger = record_schema("stranger", purchase="long", store="string")
    missing = record_schema("missing", user_id="string", total_amount="double")
    text = schemas.value("string", "User_bad")
    text_id = struct.unpack(">I", text[1:5])[0]
    json_id = schemas.json_id()
    return [
        Bad(schemas.value(stranger, {"purchase": 1, "store": "x"}), f"has no field 'user_id'; {IN_THE_KEY}"),
        Bad(schemas.value(missing, {"user_id": "u", "total_amount": 1.0}), "has no field 'num_transactions'"),
        Bad(text, f"schema id {text_id} is not a record schema"),
        Bad(frame(json_id, b"{}"), f"schema id {json_id} is JSON, not AVRO"),
    ]


def bad_fields(schemas: Schemas) -> list[Bad]:
    """Rows with a field out of range."""

    def row(cause: str, **changed: Any) -> Bad:
        return Bad(frame(schemas.own, body(AGGREGATE_SCHEMA, {**ROW, **changed})), cause)

    amount = "total_amount must be a number up to 1e+150, got "
    too_long = f"user_id must have at most {LONGEST_USER_ID} characters, got {LONGEST_USER_ID + 1}"
    in_words = schemas.value(columns(total_amount="string"), {**ROW, "total_amount": "ten"})
    no_text = schemas.value(columns(user_id="double"), {**ROW, "user_id": 7.0})
    broken = schemas.value(columns(num_transactions="double"), {**ROW, "num_transactions": 1.5})
    return [
        row("user_id must be a string, got NoneType", user_id=None),
        row(too_long, user_id="x" * (LONGEST_USER_ID + 1)),
        row(amount + "None", total_amount=None),
        row(amount + "nan", total_amount=math.nan),
        row(amount + "inf", total_amount=math.inf),
        row(amount + "-inf", total_amount=-math.inf),
        row(amount + "1.1e+150", total_amount=1.1e150),
        row("num_transactions must be a whole number >= 0, got None", num_transactions=None),
        row("num_transactions must be a whole number >= 0, got -1", num_transactions=-1),
        Bad(no_text, unread("user_id", "double", "user_id", "STRING")),
        Bad(in_words, unread("total_amount", "string", "SUM(amount)", "DOUBLE")),
        Bad(broken, unread("num_transactions", "double", "COUNT(purchase_id)", "BIGINT")),
    ]


def unread(column: str, kind: str, made: str, sql: str) -> str:
    """The message about a column of a type that is not read."""
    cast = f"write CAST({made} AS {sql}) AS {column} in statement 4, and {column} {sql} in statement 3"
    return f"{column} is of type {kind}; {cast}"


def bad_headers(schemas: Schemas) -> list[Bad]:
    """Valid rows with an invalid op header."""
    good = frame(schemas.own, body(AGGREGATE_SCHEMA, ROW))

    def op(shown: str, *values: bytes | None) -> Bad:
        cause = f"header op must be one byte from 0 to 3, got {shown}"
        return Bad(good, cause, [("op", value) for value in values])

    return [
        op("[b'\\x04']", b"\4"),
        op("[b'\\xff']", b"\xff"),
        op("[b'4']", b"4"),
        op("[b'']", b""),
        op("[None]", None),
        op("[b'\\x00\\x00']", b"\0\0"),
        op("[b'\\x00', b'\\x00']", b"\0", b"\0"),
        op("[b'+I']", b"+I"),
    ]


KINDS: list[Callable[[Schemas], list[Bad]]] = [unframed, misfits, other_schemas, bad_fields, bad_headers]


def odd_rows() -> dict[str, tuple[float, int]]:
    """Rows that are unusual and valid."""
    return {
        "": (1.0, 1),
        "a\0b": (2.0, 1),
        "\U0001f600" * 3: (3.0, 1),
        "\U0001f600" * LONGEST_USER_ID: (3.5, 1),
        "huge": (1e150, 2**63 - 1),
        "huge too": (1e150, 1),
        "debt": (-1e150, 1),
        "minus zero": (-0.0, 0),
        "tiny": (5e-324, 1),
    }


def odd_records(schemas: Schemas) -> list[Outgoing]:
    """Valid rows in other schemas: another order, more fields, whole numbers for amounts, ASCII digits for op."""
    turned = record_schema("turned", num_transactions="long", total_amount="double", user_id="string")
    more = record_schema("more", first="string", **COLUMNS, last="bytes")
    whole = columns(total_amount="int", num_transactions="int")
    plain = {"type": "record", "name": "plain", "fields": [{"name": n, "type": t} for n, t in COLUMNS.items()]}
    rows: list[tuple[Any, dict[str, Any]]] = [
        (turned, {"user_id": "turned", "total_amount": 4.0, "num_transactions": 4}),
        (more, {"user_id": "more", "total_amount": 5.0, "num_transactions": 5, "first": "x", "last": b"\0"}),
        (whole, {"user_id": "whole", "total_amount": 6, "num_transactions": 6}),
        (plain, {"user_id": "plain", "total_amount": 7.0, "num_transactions": 7}),
    ]
    records = [Outgoing(0, schemas.value(schema, row), []) for schema, row in rows]
    row = {"user_id": "digits", "total_amount": 8.0, "num_transactions": 8}
    return [*records, Outgoing(0, frame(schemas.own, body(AGGREGATE_SCHEMA, row)), [("op", b"0")])]


ODD_SCHEMA_ROWS = {"turned": (4.0, 4), "more": (5.0, 5), "whole": (6.0, 6), "plain": (7.0, 7), "digits": (8.0, 8)}
