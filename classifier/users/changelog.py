"""The input's changes: netted as bytes, decoded, taken into the user table. Bad records are set aside, not lost."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

# Rows that are added again within a batch are few. Where there are more, the order of all users' rows is doubted.
MOST_RETURNED = 10_000


def sign_of(headers: Headers) -> int:
    """Return +1 for a record that adds its row, -1 for one that retracts it."""
    ops = [value for name, value in headers or () if name == "op"]
    if not ops:
        return 1
    sign = SIGN_BY_OP.get(ops[0])
    if sign is None or len(ops) > 1:
        raise RecordError(f"header op must be one byte from 0 to 3, got {abbreviated(ops)}")
    return sign


def takes_back(headers: Headers) -> bool:
    """Return whether a record retracts its row, which only a retract changelog does."""
    return any(name == "op" and SIGN_BY_OP.get(value) == -1 for name, value in headers or ())


def retract_changelog(message: Record) -> str:
    """Say what a record proves that takes its row back."""
    op = dict(message.headers() or ())["op"]
    return f"{position_of(message)}: header op {abbreviated(op)} takes the row back, so this is a retract changelog"


class Tombstone(NamedTuple):
    """Stands for a null value of an upsert table, which deletes the user its key names."""

    key: bytes | None  # behind the schema id of its header, if it has one
    has_header: bool = False


Entry = bytes | Tombstone
Broken = dict[Entry, RecordError]
Sources = dict[str, tuple[Row, bytes]]  # rows by user, with the values they were read from


@dataclass
class Batch:
    """What was read since the last step, with all that cancels taken out before anything is decoded."""

    changelog_mode: str
    n_records: int = 0
    ops_seen: bool = False  # whether any record had an op header, so far
    keys_seen: bool = False
    taken_back: Record | None = None  # in another mode than retract, the first record that only this one knows
    bad: list[BadRecord] = field(default_factory=list)
    net: dict[Entry, int] = field(default_factory=dict)
    returned: set[bytes] = field(default_factory=set)  # taken back and added again, which leaves nothing in `net`
    many_returned: bool = False  # more than are noted

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
        """Return what stands for a record in `net`; RecordError if it is no change at all."""
        value, headers = message.value(), message.headers()
        if value is not None:
            return with_header(value, headers, VALUE_SCHEMA_ID) if headers else value
        if self.changelog_mode != "upsert":
            raise RecordError("no value (a tombstone); for an upsert table use --changelog-mode upsert")
        if (key := message.key()) is None:
            return Tombstone(None)
        behind = with_header(key, headers, KEY_SCHEMA_ID)
        return Tombstone(behind, behind is not key)

    def _sum_up(self, messages: Sequence[Record]) -> None:
        """A row that is added and retracted cancels. One that is added moves to the end: the last stays the last."""
        net, returned = cast(dict[bytes | None, int], self.net), cast(set[bytes | None], self.returned)
        sign_by_op = SIGN_BY_OP.get
        for message in messages:
            headers, value, sign = message.headers(), message.value(), 1
            if headers:
                name, op = headers[0]
                sign = sign_by_op(op, 0) if name == "op" and len(headers) == 1 else 0  # nearly all
            if value is None or not sign:
                value, sign = self._odd(message)
            if sign > 0:
                if value not in net:
                    net[value] = 1
                elif (count := net.pop(value)) != -1:
                    net[value] = count + 1
                elif len(returned) < MOST_RETURNED:
                    returned.add(value)
                else:
                    self.many_returned = True
            elif sign:
                if (count := net.get(value, 0)) == 1:
                    del net[value]
                else:
                    net[value] = count - 1

    def _odd(self, message: Record) -> tuple[bytes | None, int]:
        """Return entry and sign, whatever the headers; 0 for a record that is no change, which is kept as bad."""
        try:
            return cast(bytes, self.entry(message)), sign_of(message.headers())
        except RecordError as error:
            self.bad.append(BadRecord(message, error))
            return None, 0

    def _keep_last(self, messages: Sequence[Record]) -> None:
        """Of equal records the last is enough; one that takes its row back proves the mode wrong."""
        net = self.net
        for message in messages:
            value, headers = message.value(), message.headers()
            try:
                entry = self.entry(message) if value is None or headers else value
            except RecordError as error:
                self.bad.append(BadRecord(message, error))
                continue
            if headers and value is not None and self.taken_back is None and takes_back(headers):
                self.taken_back = message
            net.pop(entry, None)
            net[entry] = 1

    def changes(self, messages: Sequence[Record], reader: AvroReader) -> Iterator[tuple[Record, tuple[str, Row], int]]:
        """Yield what records of a retract changelog say, with row and sign, and without those that cannot be read."""
        held = list[tuple[Record, bytes, int]]()
        for message in messages:
            with contextlib.suppress(RecordError):
                held.append((message, cast(bytes, self.entry(message)), sign_of(message.headers())))
        for (message, _, sign), row in zip(
            held, parse_rows(reader.all_fields([each[1] for each in held])), strict=True
        ):
            if not isinstance(row, RecordError):
                yield message, row, sign

    def clear(self) -> None:
        """Begin anew after a step, which has taken `net` already."""
        self.n_records, self.bad, self.returned, self.many_returned = 0, [], set(), False


def apply_retract(net: Mapping[Entry, int], reader: AvroReader, table: UserTable) -> tuple[Sources, Broken]:
    """Add and retract the rows of a retract changelog.

    Returns the rows that are news, by user, and the entries that cannot be read. Retractions come first: a user's new
    row then finds the old one gone, which is what a table does fastest.
    """
    sources: Sources = {}
    broken: Broken = {}
    first = not len(table)
    retracted = [value for value, count in net.items() if count < 0]
    added = [value for value, count in net.items() if count > 0]
    for entries in (retracted, added):
        for values in in_blocks(cast(list[bytes], entries)):
            values, rows = sound(values, parse_rows(reader.all_fields(values)), broken)
            table.add_all(rows, list(map(net.__getitem__, values)))
            if entries is added:
                told = zip(values, rows, strict=True)
                # A row that is shown already is hardly ever written again: a rebuild is made of such.
                sources.update({user: (row, value) for value, (user, row) in told if first or table.row(user) != row})
    return sources, broken


def users_of(values: Iterable[bytes], reader: AvroReader) -> Iterator[str]:
    """Yield the users of values that can be read."""
    for some in in_blocks(list(values)):
        rows = parse_rows(reader.all_fields(some))
        yield from (row[0] for row in rows if not isinstance(row, RecordError))


def sound(
    values: Sequence[bytes], rows: list[tuple[str, Row] | RecordError], broken: Broken
) -> tuple[Sequence[bytes], list[tuple[str, Row]]]:
    """Return values that are rows, and these; what is wrong with the others goes into `broken`."""
    wrong: Broken = {value: row for value, row in zip(values, rows, strict=True) if isinstance(row, RecordError)}
    if not wrong:
        return values, cast(list[tuple[str, Row]], rows)
    broken.update(wrong)
    return [each for each in values if each not in wrong], [row for row in rows if not isinstance(row, RecordError)]


def apply_last(
    net: Iterable[Entry], reader: AvroReader, table: UserTable, keys: InputKeys | None
) -> tuple[Sources, Broken]:
    """Let the last record of each user win; `keys` reads the keys of tombstones."""
    broken: Broken = {}
    for entries in in_blocks(list(net)):
        rows = iter(parse_rows(reader.all_fields([entry for entry in entries if isinstance(entry, bytes)])))
        for entry in entries:
            try:
                if isinstance(entry, Tombstone):
                    if entry.key is None or keys is None:
                        raise RecordError("no key and no value")
                    table.replace(keys.decode(entry.key, has_header=entry.has_header), None)
                elif isinstance(row := next(rows), RecordError):
                    raise row
                else:
                    table.replace(*row)
            except RecordError as error:
                broken[entry] = error
    return {}, broken
