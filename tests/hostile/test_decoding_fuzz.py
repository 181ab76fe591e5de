"""Fuzzing of the decoder, without services: an invalid value raises RecordError, a valid one gives the right row."""

import math
import random
from collections import Counter
from typing import Any

import fastavro
import pytest
from fastavro.utils import generate_one

from classifier.errors import RecordError
from classifier.row import Row, parse_row
from classifier.serialization.avro import AvroReader
from classifier.users.changelog import apply_retract
from classifier.users.table import UserTable
from tests.support import avro_rows
from tests.support.settling import settle
from tests.support.wire import AGGREGATE_SCHEMA, body, frame, record_schema

SCHEMA_ID = 7
UNKNOWN_ID = 8
N_CASES = 100_000
N_BATCHES = 2_000
VARINT_TAILS = (0x80, 0xFF)

USER_IDS = ("User_1", "", "\U0001f600\u00fc", "User_", "a\0b", "x" * 300, None)
AMOUNTS = (12.5, 0.0, -0.0, 1e150, -1e150, 5e-324, 1.1e150, math.inf, -math.inf, math.nan, None)
COUNTS = (1, 0, 2**31, 2**63 - 1, -1, -(2**63), None)
REFUSED = "refused"
EITHER = "either"

MORE_FIELDS: list[Any] = [
    "null",
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "bytes",
    "string",
    {"type": "array", "items": "string"},
    {"type": "map", "values": "long"},
    {"type": "enum", "name": "side", "symbols": ["LEFT", "RIGHT"]},
    {"type": "record", "name": "inner", "fields": [{"name": "x", "type": ["null", "string"]}]},
    {"type": "fixed", "name": "four", "size": 4, "logicalType": "decimal", "precision": 8, "scale": 2},
    {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2},
    {"type": "string", "logicalType": "uuid"},
    {"type": "int", "logicalType": "date"},
    {"type": "int", "logicalType": "time-millis"},
    {"type": "long", "logicalType": "time-micros"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "local-timestamp-millis"},
]


class OneSchema:
    """A registry with one schema."""

    def __init__(self, schema: Any) -> None:
        self._schema = fastavro.parse_schema(schema)

    def by_id(self, schema_id: int) -> Any:
        """The schema, or the error of the client's registry."""
        if schema_id != SCHEMA_ID:
            raise RecordError(f"schema id {schema_id} is not in the Schema Registry")
        return self._schema


def reader(schema: Any) -> AvroReader:
    """The client's decoder of one schema."""
    return AvroReader(OneSchema(schema))  # type: ignore[arg-type]


def value(rng: random.Random) -> bytes:
    """A value that matches its schema; the first choices of each field are valid, the last are not."""
    reach = 3 if rng.random() < 0.5 else None
    fields = {
        "user_id": rng.choice(USER_IDS[:reach]),
        "total_amount": rng.choice(AMOUNTS[:reach]),
        "num_transactions": rng.choice(COUNTS[:reach]),
    }
    return frame(SCHEMA_ID, body(AGGREGATE_SCHEMA, fields))


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes with a few changes, most of them after the frame."""
    broken = bytearray(data)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(0 if rng.random() < 0.1 else 5, max(6, len(broken) + 1))
        accident = rng.randrange(7)
        if accident == 0 and at < len(broken):
            broken[at] ^= 1 << rng.randrange(8)
        elif accident == 1:
            del broken[at:]
        elif accident == 2:
            broken[at:at] = rng.randbytes(rng.randrange(1, 12))
        elif accident == 3:
            del broken[at : at + rng.randrange(1, 9)]
        elif accident == 4:
            broken += rng.randbytes(rng.randrange(1, 5))
        elif accident == 5:  # a number that takes more bytes than it must, or than it may
            broken[at:at] = bytes([rng.choice(VARINT_TAILS)] * rng.randrange(1, 14))
        else:
            broken[at:] = rng.randbytes(rng.randrange(30))
    return bytes(broken)


def read(data: bytes, client: AvroReader) -> str:
    """The row that the client decodes, as repr, which distinguishes 0.0 and -0.0; only RecordError is expected."""
    try:
        user_id, (amount, count) = parse_row(client.fields(data))
    except RecordError:
        return REFUSED
    return repr((user_id, amount, count))


def expected(data: bytes) -> str:
    """The expected row or verdict."""
    try:
        return repr(tuple(avro_rows.row_of(data, SCHEMA_ID)))
    except avro_rows.Lenient:
        return EITHER
    except avro_rows.Misfit:
        return REFUSED


def test_damaged_values() -> None:
    rng = random.Random(20)
    client = reader(AGGREGATE_SCHEMA)
    verdicts = Counter[str]()
    for number in range(N_CASES):
        data = damaged(value(rng), rng) if number % 10 else rng.randbytes(rng.randrange(40))
        wanted = expected(data)
        got = read(data, client)
        assert wanted in (EITHER, got), data.hex()
        verdicts[wanted if wanted in (EITHER, REFUSED) else "read"] += 1
    # Both verdicts must be frequent, otherwise the test shows nothing.
    assert min(verdicts["read"], verdicts[REFUSED]) > N_CASES / 10
    assert verdicts[EITHER] < N_CASES / 10


def test_every_bit_flip_and_every_cut_of_a_value() -> None:
    client = reader(AGGREGATE_SCHEMA)
    good = frame(SCHEMA_ID, body(AGGREGATE_SCHEMA, {"user_id": "Jürgen", "total_amount": 3.5, "num_transactions": 200}))
    flips = [good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :] for at in range(len(good)) for bit in range(8)]
    cuts = [good[:at] for at in range(len(good))] + [good + bytes([byte]) for byte in range(256)]
    assert {read(data, client) for data in cuts} == {REFUSED}
    for data in flips:
        assert expected(data) in (EITHER, read(data, client)), data.hex()


@pytest.mark.parametrize("kind", MORE_FIELDS, ids=str)
def test_any_schema_raises_only_record_errors(kind: Any) -> None:
    schema = record_schema("more", user_id="string", total_amount="double", num_transactions="long")
    schema["fields"].insert(0, {"name": "more", "type": kind})
    rng = random.Random(30)
    client = reader(schema)
    read_ones = 0
    fields = {"user_id": "u", "total_amount": 1.0, "num_transactions": 2}
    for _ in range(300):
        good = frame(SCHEMA_ID, body(schema, {"more": generate_one(fastavro.parse_schema(kind)), **fields}))
        assert read(good, client) == repr(("u", 1.0, 2))
        read_ones += read(damaged(good, rng), client) != REFUSED
    assert read_ones > 0


def test_a_batch_is_decoded_like_its_values_one_by_one() -> None:
    rng = random.Random(40)
    client = reader(AGGREGATE_SCHEMA)
    seen = Counter[bool]()
    for _ in range(N_BATCHES):
        values = [frame(SCHEMA_ID, body(AGGREGATE_SCHEMA, good_row(rng))) for _ in range(rng.randrange(1, 6))]
        if rng.random() < 0.5:
            at = rng.randrange(len(values))
            values[at] = damaged(values[at], rng)
        verdicts = [expected(data) for data in values]
        if EITHER in verdicts:
            continue
        table = UserTable()
        _, broken = apply_retract(net_of(values), client, table)
        refused = [at for at, verdict in enumerate(verdicts) if verdict == REFUSED]
        rows = [avro_rows.row_of(data, SCHEMA_ID) for at, data in enumerate(values) if at not in refused]
        assert broken.keys() == {values[at] for at in refused}
        assert contents(table) == {row.user_id: row[1:] for row in rows}
        seen[bool(refused)] += 1
    assert min(seen.values()) > N_BATCHES / 10


def test_two_bad_values_do_not_hide_each_other() -> None:
    """Values are decoded as one array: the end of one that is too long must not complete one that is too short."""
    schema = record_schema("more", more="bytes", user_id="string", total_amount="double", num_transactions="long")
    row = body(schema, {"more": b"", "user_id": "ann", "total_amount": 1.0, "num_transactions": 1})
    start = b"\x02"
    rest = row[2:]
    refused = []
    for gap in range(40):  # what the client may put between two values is taken in by the bytes field
        taken = body("bytes", b"?" * (gap + 1))[: -(gap + 1)]
        long = frame(SCHEMA_ID, row + b"!" * gap + start + taken)
        short = frame(SCHEMA_ID, b"?" + rest)
        table = UserTable()
        apply_retract(net_of([long, short]), reader(schema), table)
        refused.append(contents(table) == {})
    assert all(refused)


def net_of(values: list[bytes]) -> dict[bytes, int]:
    """Each value once."""
    return dict(Counter(values))


def good_row(rng: random.Random) -> dict[str, Any]:
    """A row of one of many users."""
    return {"user_id": f"User_{rng.randrange(1000)}", "total_amount": rng.uniform(0, 99), "num_transactions": 1}


def contents(table: UserTable) -> dict[str, Row | None]:
    """The rows of a table."""
    settle(table)
    return {user_id: table.row(user_id) for user_id in table.user_ids}
