"""Netting and the changelog modes, on hand-made records."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from classifier.errors import RecordError
from classifier.row import Fields
from classifier.serialization.avro import AvroReader
from classifier.users.changelog import BadEntries, Batch, Tombstone, apply_last, apply_retract, sign_of
from classifier.users.input_keys import InputKeys
from classifier.users.table import UserTable
from tests.support.fakes import FakeMessage
from tests.support.memory import registry_of
from tests.support.settling import settle
from tests.support.wire import AGGREGATE_SCHEMA, Headers, body, frame


class CountingReader(AvroReader):
    """A reader that keeps the values it decodes."""

    def __init__(self) -> None:
        self.registry = registry_of(x=AGGREGATE_SCHEMA)
        super().__init__(self.registry)
        self.decoded: list[bytes] = []

    def all_fields(self, values: Sequence[bytes]) -> list[Fields | RecordError]:
        """See AvroReader."""
        self.decoded += values
        return super().all_fields(values)


def retract(records: Sequence[FakeMessage], reader: AvroReader, table: UserTable) -> tuple[Batch, BadEntries]:
    """Apply records of a retract changelog to the table."""
    batch = Batch("retract")
    batch.take(records)
    return batch, apply_retract(batch.net, reader, table)[1]


def last(mode: str, records: Sequence[FakeMessage], table: UserTable) -> tuple[Batch, BadEntries]:
    """Apply records of an upsert or append changelog to the table."""
    batch, reader = Batch(mode), CountingReader()
    batch.take(records)
    keys = InputKeys(reader.registry, "t")
    return batch, apply_last(batch.last, reader, table, keys, lambda user_id, partition, timestamp: True)[1]


def value(user_id: str, amount: float) -> bytes:
    """The value of a row's record."""
    return frame(1, body(AGGREGATE_SCHEMA, {"user_id": user_id, "total_amount": amount, "num_transactions": 1}))


def record(offset: int, held: bytes | None, op: bytes | None = None, key: bytes | None = None) -> FakeMessage:
    """A record of topic t."""
    headers: Headers = [] if op is None else [("op", op)]
    return FakeMessage(("t", 0, offset), held, headers, key)


def settled(table: UserTable) -> dict[str, float]:
    """user_id -> total_amount."""
    settle(table)
    return {user_id: row[0] for user_id, row in zip(table.user_ids, table.rows, strict=True)}


@pytest.mark.parametrize(
    ("headers", "sign"),
    [
        (None, 1),
        ([], 1),
        ([("trace", b"\1")], 1),
        *[([("op", op)], sign) for op, sign in zip((b"\0", b"\1", b"\2", b"\3"), (1, -1, 1, -1), strict=True)],
        *[([("op", op)], sign) for op, sign in zip((b"0", b"1", b"2", b"3"), (1, -1, 1, -1), strict=True)],
        ([("a", b"x"), ("op", b"\3"), ("b", None)], -1),
    ],
)
def test_sign(headers: Headers | None, sign: int) -> None:
    batch = Batch("retract")
    batch.take([FakeMessage(("t", 0, 0), b"row", headers or [])])
    assert (sign_of(headers), list(batch.net.values())) == (sign, [sign])


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([("op", b"")], "[b'']"),
        ([("op", b"\4")], r"[b'\x04']"),
        ([("op", b"4")], "[b'4']"),
        ([("op", b"\0\0")], r"[b'\x00\x00']"),
        ([("op", None)], "[None]"),
        ([("op", b"\0"), ("op", b"\0")], r"[b'\x00', b'\x00']"),
    ],
)
def test_an_invalid_op_is_refused(headers: Headers, found: str) -> None:
    with pytest.raises(RecordError) as caught:
        sign_of(headers)
    assert str(caught.value) == f"header op must be one byte from 0 to 3, got {found}"
    batch = Batch("retract")
    batch.take([FakeMessage(("t", 0, 0), b"row", headers)])
    ((_, error),) = batch.bad
    assert (str(error), batch.net) == (str(caught.value), {})


def test_rows_that_cancel_within_a_batch_are_never_decoded() -> None:
    reader, table = CountingReader(), UserTable()
    rows = [value("ann", float(amount)) for amount in range(5)]
    batch = [record(0, rows[0])]
    for at, (old, new) in enumerate(pairwise(rows)):
        batch += [record(2 * at + 1, old, b"\1"), record(2 * at + 2, new, b"\2")]
    assert retract(batch, reader, table)[1] == {}
    assert reader.decoded == [rows[-1]]
    assert settled(table) == {"ann": 4.0}


def test_a_retraction_before_its_row_cancels_too() -> None:
    reader, table = CountingReader(), UserTable()
    assert retract([record(0, value("ann", 1.0), b"\3"), record(1, value("ann", 1.0))], reader, table)[1] == {}
    assert reader.decoded == []
    assert settled(table) == {}


def test_the_row_added_last_is_current() -> None:
    table = UserTable()
    one, two = value("ann", 1.0), value("ann", 2.0)
    retract([record(0, one), record(1, two), record(2, one)], CountingReader(), table)
    assert settled(table) == {"ann": 1.0}


def test_a_retraction_does_not_make_its_row_the_last_one() -> None:
    table = UserTable()
    one, two = value("ann", 1.0), value("ann", 2.0)
    retract([record(0, one), record(1, one), record(2, two), record(3, one, b"\1")], CountingReader(), table)
    assert settled(table) == {"ann": 2.0}


def test_bad_records_of_a_batch_are_named_and_no_good_one_is_lost() -> None:
    table = UserTable()
    records = [
        record(0, value("ann", 1.0)),
        record(1, b"{}"),
        record(2, value("bob", 2.0), b"9"),
        record(3, None),
        record(4, value("cem", 3.0), b"\2"),
        record(5, b"{}"),
    ]
    batch, bad = retract(records, CountingReader(), table)
    assert [str(each) for each in batch.bad] == [
        "t [0] at offset 2: header op must be one byte from 0 to 3, got [b'9']",
        "t [0] at offset 3: no value (a tombstone); for an upsert table use --changelog-mode upsert",
    ]
    assert {entry: str(error) for entry, error in bad.items()} == {b"{}": "not Confluent Avro (first byte 0x7b)"}
    assert settled(table) == {"ann": 1.0, "cem": 3.0}


def test_the_last_record_wins_and_a_null_value_deletes() -> None:
    table = UserTable()
    records = [
        record(0, value("ann", 1.0), key=b"ann"),
        record(1, value("bob", 2.0), key=b"bob"),
        record(2, value("ann", 3.0), key=b"ann"),
        record(3, None, key=b"bob"),
        record(4, None, key=b"nobody"),
    ]
    assert last("upsert", records, table)[1] == {}
    assert settled(table) == {"ann": 3.0}


def test_of_equal_records_the_last_counts() -> None:
    table = UserTable()
    one, two = value("ann", 1.0), value("ann", 2.0)
    last("append", [record(0, one), record(1, two), record(2, one)], table)
    assert settled(table) == {"ann": 1.0}
    last("upsert", [record(0, None, key=b"ann"), record(1, two), record(2, None, key=b"ann")], table)
    assert settled(table) == {}


def test_a_null_value_without_a_key_deletes_nobody() -> None:
    table = UserTable()
    _, bad = last("upsert", [record(0, value("bob", 2.0)), record(1, None)], table)
    assert {entry: str(error) for entry, error in bad.items()} == {Tombstone(None): "no key and no value"}
    assert settled(table) == {"bob": 2.0}


@pytest.mark.parametrize("key", [None, b"bob"])
def test_append_knows_no_deletion(key: bytes | None) -> None:
    table = UserTable()
    batch, bad = last("append", [record(0, value("bob", 2.0)), record(1, None, key=key)], table)
    assert ([each.message.offset() for each in batch.bad], bad) == ([1], {})
    assert settled(table) == {"bob": 2.0}
