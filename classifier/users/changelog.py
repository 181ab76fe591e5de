"""The input changelog: netted as bytes, decoded, applied to the user table.

Guarantee: a record that cannot be read is set aside with its error and changes nothing; no other record is lost.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from classifier.errors import RecordError
from classifier.formatting import abbreviated
from classifier.kafka.record import BadRecord, Headers, Record, position_of
from classifier.row import Row, parse_rows
from classifier.serialization.avro import AvroReader, in_blocks
from classifier.serialization.wire import with_header
from classifier.users.input_keys import InputKeys
from classifier.users.table import UserTable

# Confluent Cloud Flink writes one byte, its RowKind: +I, -U, +U, -D. Some tools write it as a digit.
SIGN_BY_OP = {b"\0": 1, b"\1": -1, b"\2": 1, b"\3": -1, b"0": 1, b"1": -1, b"2": 1, b"3": -1}
# Headers in which Confluent's serializers can put the schema id, from 8.1 on; value and key then begin with the body.
VALUE_SCHEMA_ID, KEY_SCHEMA_ID = "__value_schema_id", "__key_schema_id"

# Few rows are retracted and added again within a batch. Where more are, no user's rows count as ordered.
MAX_READDED = 10_000


def sign_of(headers: Headers) -> int:
    """Return +1 for a record that adds its row, -1 for one that retracts it."""
    ops = [value for name, value in headers or () if name == "op"]
    if not ops:
        return 1
    sign = SIGN_BY_OP.get(ops[0])
    if sign is None or len(ops) > 1:
        raise RecordError(f"header op must be one byte from 0 to 3, got {abbreviated(ops)}")
    return sign


def is_retraction(headers: Headers) -> bool:
    """Return whether a record retracts its row; only a retract changelog has such records."""
    return any(name == "op" and SIGN_BY_OP.get(value) == -1 for name, value in headers or ())


def retraction_found(message: Record) -> str:
    """Return the message for a retraction in another mode than retract: it names the record and what it proves."""
    op = dict(message.headers() or ())["op"]
    return f"{position_of(message)}: header op {abbreviated(op)} retracts a row, so this is a retract changelog"


class Tombstone(NamedTuple):
    """A record of an upsert table without a value: it deletes the user that its key names."""

    key: bytes | None  # after the schema id of its header, if it has one
    has_header: bool = False


Entry = bytes | Tombstone  # a change as read, not decoded: the value of a record, with the schema id of its header
BadEntries = dict[Entry, RecordError]
# By partition: entries in the order of their last record, each with the largest timestamp of its records.
LastEntries = dict[int, dict[Entry, int]]
IsNewest = Callable[[str, int, int], bool]  # of a user, a partition and a timestamp, see `LastWritten.is_newest`
RowBytes = dict[str, tuple[Row, bytes]]  # by user: a new row, and the value it was read from


@dataclass
class Batch:
    """The records read since the last step, netted: what cancels is never decoded."""

    changelog_mode: str
    n_records: int = 0
    ops_seen: bool = False  # whether any record so far had an op header
    keys_seen: bool = False
    retraction: Record | None = None  # the first one, in another mode than retract
    bad: list[BadRecord] = field(default_factory=list)
    net: dict[bytes, int] = field(default_factory=dict)  # of a retract changelog: times added less times retracted
    last: LastEntries = field(default_factory=dict)  # of the other modes
    readded: set[bytes] = field(default_factory=set)  # retracted and added again, which leaves no trace in `net`
    many_readded: bool = False  # more than MAX_READDED

    @property
    def n_net(self) -> int:
        """Changes left after netting, records that cannot be read included."""
        return len(self.net) + sum(map(len, self.last.values())) + len(self.bad)

    def take(self, messages: Sequence[Record]) -> None:
        """Add records."""
        self.n_records += len(messages)
        if self.changelog_mode != "retract":
            self._keep_last(messages)
            return
        if not self.ops_seen:
            self.ops_seen = any(name == "op" for message in messages for name, _ in message.headers() or ())
            self.keys_seen = self.keys_seen or any(message.key() is not None for message in messages)
        self._sum_up(messages)

    def entry(self, message: Record) -> Entry:
        """Return the key of a record in `net`; RecordError if it is not a change."""
        value = message.value()
        headers = message.headers()
        if value is not None:
            return with_header(value, headers, VALUE_SCHEMA_ID) if headers else value
        if self.changelog_mode != "upsert":
            raise RecordError("no value (a tombstone); for an upsert table use --changelog-mode upsert")
        key = message.key()
        if key is None:
            return Tombstone(None)
        key_with_id = with_header(key, headers, KEY_SCHEMA_ID)
        return Tombstone(key_with_id, key_with_id is not key)

    def _sum_up(self, messages: Sequence[Record]) -> None:
        """Net records of a retract changelog: an added row and its retraction cancel.

        An added row moves to the end of `net`, so the row added last stays the last one.
        """
        net = cast(dict[bytes | None, int], self.net)
        readded = cast(set[bytes | None], self.readded)
        sign_by_op = SIGN_BY_OP.get
        for message in messages:
            headers, value, sign = message.headers(), message.value(), 1
            if headers:
                name, op = headers[0]
                sign = sign_by_op(op, 0) if name == "op" and len(headers) == 1 else 0
            if value is None or not sign:  # rare
                value, sign = self._unusual(message)
            if sign > 0:
                if value not in net:
                    net[value] = 1
                elif (count := net.pop(value)) != -1:
                    net[value] = count + 1
                elif len(readded) < MAX_READDED:
                    readded.add(value)
                else:
                    self.many_readded = True
            elif sign:
                if (count := net.get(value, 0)) == 1:
                    del net[value]
                else:
                    net[value] = count - 1

    def _unusual(self, message: Record) -> tuple[bytes | None, int]:
        """Return entry and sign of a record with any headers; sign 0 for one that is bad, which is set aside."""
        try:
            return cast(bytes, self.entry(message)), sign_of(message.headers())
        except RecordError as error:
            self.bad.append(BadRecord(message, error))
            return None, 0

    def _keep_last(self, messages: Sequence[Record]) -> None:
        """Net records of an upsert or append changelog: of equal ones in a partition the last is kept.

        A retraction shows that the mode is wrong.
        """
        for message in messages:
            value, headers = message.value(), message.headers()
            try:
                entry = self.entry(message) if value is None or headers else value
            except RecordError as error:
                self.bad.append(BadRecord(message, error))
                continue
            if headers and value is not None and self.retraction is None and is_retraction(headers):
                self.retraction = message
            entries = self.last.setdefault(message.partition(), {})
            timestamp = message.timestamp()[1]
            entries[entry] = max(entries.pop(entry, timestamp), timestamp)

    def rows_in(self, messages: Sequence[Record], reader: AvroReader) -> Iterator[tuple[Record, tuple[str, Row], int]]:
        """Yield user, row and sign of each record of a retract changelog; bad records are left out."""
        readable = list[tuple[Record, bytes, int]]()
        for message in messages:
            with contextlib.suppress(RecordError):
                readable.append((message, cast(bytes, self.entry(message)), sign_of(message.headers())))
        rows = parse_rows(reader.all_fields([value for _, value, _ in readable]), reader.features)
        for (message, _, sign), row in zip(readable, rows, strict=True):
            if not isinstance(row, RecordError):
                yield message, row, sign

    def clear(self) -> None:
        """Start the next batch after a step, which has emptied `net` and `last` already."""
        self.n_records = 0
        self.bad = []
        self.readded = set()
        self.many_readded = False


def apply_retract(net: Mapping[bytes, int], reader: AvroReader, table: UserTable) -> tuple[RowBytes, BadEntries]:
    """Apply the net changes of a retract changelog to the table.

    Returns the new rows by user with their bytes, and the entries that cannot be read. Retractions come first: a user's
    old row is removed before the new one is added, which is the table's fastest case.
    """
    row_bytes: RowBytes = {}
    bad: BadEntries = {}
    first = not len(table)
    retracted = [value for value, count in net.items() if count < 0]
    added = [value for value, count in net.items() if count > 0]
    for entries in (retracted, added):
        for values in in_blocks(entries):
            values, rows = without_bad(values, parse_rows(reader.all_fields(values), reader.features), bad)
            table.add_all(rows, list(map(net.__getitem__, values)))
            if entries is added:
                pairs = zip(values, rows, strict=True)
                # A row that is shown already is hardly ever written again; nearly all rows of a rebuild are.
                row_bytes |= {user: (row, value) for value, (user, row) in pairs if first or table.row(user) != row}
    return row_bytes, bad


def users_of(values: Iterable[bytes], reader: AvroReader) -> Iterator[str]:
    """Yield the user of each value; bad values are left out."""
    for block in in_blocks(list(values)):
        rows = parse_rows(reader.all_fields(block), reader.features)
        yield from (row[0] for row in rows if not isinstance(row, RecordError))


def without_bad(
    values: Sequence[bytes], rows: list[tuple[str, Row] | RecordError], bad: BadEntries
) -> tuple[Sequence[bytes], list[tuple[str, Row]]]:
    """Return the values that are rows, and these rows; add the other values with their errors to `bad`."""
    found: BadEntries = {value: row for value, row in zip(values, rows, strict=True) if isinstance(row, RecordError)}
    if not found:
        return values, cast(list[tuple[str, Row]], rows)
    bad.update(found)
    return [each for each in values if each not in found], [row for row in rows if not isinstance(row, RecordError)]


def last_rows(
    last: LastEntries, reader: AvroReader, keys: InputKeys | None, is_newest: IsNewest, bad: BadEntries
) -> Iterator[tuple[str, Row | None]]:
    """Yield user and row of each entry that is the newest of its user so far; None deletes the user.

    `keys` decodes the keys of tombstones. Entries that cannot be read are added to `bad`.
    """
    for partition, timestamps in last.items():
        for entries in in_blocks(list(timestamps)):
            values = [entry for entry in entries if isinstance(entry, bytes)]
            rows = iter(parse_rows(reader.all_fields(values), reader.features))
            for entry in entries:
                found = deleted_user(entry, keys) if isinstance(entry, Tombstone) else next(rows)
                if isinstance(found, RecordError):
                    bad[entry] = found
                elif is_newest(found[0], partition, timestamps[entry]):
                    yield found


def deleted_user(entry: Tombstone, keys: InputKeys | None) -> tuple[str, None] | RecordError:
    """Return the user that a tombstone deletes, with no row."""
    if entry.key is None or keys is None:
        return RecordError("no key and no value")
    try:
        return keys.decode(entry.key, has_header=entry.has_header), None
    except RecordError as error:
        return error


def apply_last(
    last: LastEntries, reader: AvroReader, table: UserTable, keys: InputKeys | None, is_newest: IsNewest
) -> tuple[RowBytes, BadEntries]:
    """Apply an upsert or append changelog to the table: the last record of each user counts.

    Returns as `apply_retract` does, but no rows.
    """
    bad: BadEntries = {}
    for user_id, row in last_rows(last, reader, keys, is_newest, bad):
        table.replace(user_id, row)
    return {}, bad


def records_of(entries: BadEntries, batch: Batch, messages: Iterable[Sequence[Record]]) -> list[BadRecord]:
    """Return the records of these entries, found in the records of the batch; without those already known as bad."""
    known = {(each.message.partition(), each.message.offset()) for each in batch.bad}
    return [
        BadRecord(message, error)
        for message in itertools.chain.from_iterable(messages)
        if (message.partition(), message.offset()) not in known and (error := entries.get(batch.entry(message)))
    ]
