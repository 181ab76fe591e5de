"""The output `user_labeling`, which is also the state: row and label of each user, pending rows in a header."""

import itertools
import json
import logging
import operator
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from classifier.errors import RecordError, SchemaMissing, StateError
from classifier.features import TOTALS, Features
from classifier.formatting import abbreviated
from classifier.kafka.record import Headers, Record, position_of
from classifier.kafka.sink import OutputRecord
from classifier.kafka.source import Source, newest_records
from classifier.row import Row
from classifier.serialization.avro import RECORDS_PER_BLOCK
from classifier.stop import StopRequest
from classifier.users.changelog import RowBytes
from classifier.users.multiset import EMPTY, Multiset
from classifier.users.output_codec import KeyCodec, LabelCodec, LabelColumns
from classifier.users.progress import OTHER_OUTPUT
from classifier.users.table import NO_LABEL, Change, LabelledUsers, in_order

log = logging.getLogger("user_classifier")
PENDING = "pending"  # header: JSON list of rows, each a list of its features and its count
NOT_ROWS = (ValueError, TypeError, OverflowError, RecursionError)  # raised by a header with anything else
COMPACT_ABOVE = 100_000  # labels, old ones included, that take little memory
SAMPLED = 64  # one user of so many is counted, to estimate how many users there are


def label_records(
    changes: Iterable[Change], keys: KeyCodec, values: LabelCodec, topic: str, row_bytes: RowBytes | None = None
) -> Iterator[OutputRecord]:
    """Encode changes one by one; a deleted user becomes a tombstone.

    `row_bytes` holds, by user, a row and the value it was read from, which is then not encoded again.
    """
    left = iter(changes)
    while chunk := list(itertools.islice(left, RECORDS_PER_BLOCK)):
        labelled = [(user_id, row, label) for user_id, row, label, _ in chunk if row]
        encoded = iter(values.encode(labelled, row_bytes or {}))
        for key, (_, row, _, pending) in zip(keys.encode([change[0] for change in chunk]), chunk, strict=True):
            headers = pending_headers(pending) if pending else None
            yield topic, key, next(encoded) if row else None, headers


def pending_headers(pending: Multiset) -> Headers:
    """Return the header with the pending rows of a user."""
    return [(PENDING, json.dumps([[*row, count] for row, count in pending.items()]).encode())]


def pending_of(message: Record, features: Features = TOTALS) -> Multiset:
    """Return the pending rows in a record's header; StateError where this client has not written it."""
    headers = message.headers()
    if not headers:
        return EMPTY
    try:
        return {features.row(row): int(count) for *row, count in pending_rows(headers)}
    except NOT_ROWS as error:
        raise StateError(f"{position_of(message)}: not written by user_classifier ({error})") from None


def has_other_pending(message: Record, features: Features) -> bool:
    """Return whether pending rows in a record's header have another number of features."""
    try:
        return any(len(row) != len(features) + 1 for row in pending_rows(message.headers()))
    except NOT_ROWS:  # `pending_of` says what is wrong
        return False


def pending_rows(headers: Headers) -> list[Any]:
    """Return the content of the header with pending rows; one of NOT_ROWS where it is something else."""
    return [row for name, value in headers or () if name == PENDING for row in json.loads(value)]


def read_labels(
    source: Source, keys: KeyCodec, values: LabelCodec, stop: StopRequest, *, rebuild: bool = False
) -> LabelledUsers:
    """Read the output to its end and return the last label of every user; empty after a stop request.

    Of a record whose schema is not in the registry or has other features, only the user is known, by the key. A
    `rebuild` needs no more. Otherwise a newer record of the user must follow; StateError where there is none.
    """
    labels = LabelLog(values.features, rebuild=rebuild)
    for newest in newest_records(source, stop):
        labels.take(newest, keys, values)
    found = (LabelLog() if stop.requested else labels).last()
    if found.unreadable and labels.problem:
        raise labels.problem
    if found.unreadable:
        reason = "the schemas of %d users are not in the Schema Registry"
        if not values.schema_missing:
            reason = "the rows of %d users have other features"
        message = f"%s: {reason}; the input alone decides their labels"
        log.warning(message, source.topic, len(found.unreadable))
    return found


class LabelLog:
    """Labels in the order of reading. Old labels of a user are dropped from time to time, to bound the memory."""

    def __init__(self, features: Features = TOTALS, *, rebuild: bool = False) -> None:
        self._features = features
        self._rebuild = rebuild
        # By column; a tombstone or an unreadable value has no row and no label.
        self._user_ids: list[str] = []
        self._rows: list[Row | None] = []
        self._labels = array("i")
        self._pending: dict[str, Multiset] = {}  # of the last record of each user
        self._unreadable: set[str] = set()  # users whose last record cannot be read
        self.problem: StateError | None = None  # with the first such record; None in a rebuild
        self._sample: set[str] = set()  # one user of SAMPLED

    def __len__(self) -> int:
        return len(self._user_ids)

    def take(self, messages: Mapping[bytes | None, Record], keys: KeyCodec, values: LabelCodec) -> None:
        """Add records, by key; StateError for a record that this client has not written."""
        check_keys(messages)
        records: Collection[Record] = messages.values()
        unreadable: list[Record] = []
        if self._rebuild:
            records, unreadable = split_unreadable(records, values)
        try:
            self._take_readable(records, keys, values)
        except StateError as error:
            records, unreadable = split_unreadable(records, values)
            if not unreadable:
                raise
            # A newer record of the same user may follow. Without the traceback, which would keep the records.
            self.problem = self.problem or error.with_traceback(None)
            self._take_readable(records, keys, values)
        self._take_unreadable(unreadable, keys)
        if len(self) > COMPACT_ABOVE + 2 * SAMPLED * len(self._sample):
            last = self.last()
            self._user_ids = last.user_ids
            self._rows = [*last.rows]
            self._labels = array("i", last.labels.tolist())

    def _take_readable(self, records: Collection[Record], keys: KeyCodec, values: LabelCodec) -> None:
        """Add records; StateError for one that cannot be read."""
        labelled, tombstones = split_tombstones(records)
        user_ids, rows, labels = decode_labels(labelled, values)
        for user_id, message in zip(user_ids, labelled, strict=True):
            if message.headers() or user_id in self._pending:
                self._pending[user_id] = pending_of(message, self._features)
        deleted = [user_of_key(message, keys) for message in tombstones]
        self._pending.update(
            {user_id: pending_of(each, self._features) for user_id, each in zip(deleted, tombstones, strict=True)}
        )
        self._unreadable.difference_update(user_ids, deleted)
        self._user_ids += user_ids + deleted
        self._rows += rows + [None] * len(deleted)
        self._labels.extend(labels + [NO_LABEL] * len(deleted))
        self._sample.update(user_id for user_id in user_ids if hash(user_id) % SAMPLED == 0)

    def _take_unreadable(self, messages: Sequence[Record], keys: KeyCodec) -> None:
        """Add the users of records that cannot be read; StateError where their keys cannot, either."""
        user_ids = [user_of_key(each, keys, has_value=each.value() is not None) for each in messages]
        self._unreadable.update(user_ids)
        for user_id in user_ids:
            self._pending.pop(user_id, None)
        self._user_ids += user_ids
        self._rows += [None] * len(user_ids)
        self._labels.extend([NO_LABEL] * len(user_ids))

    def last(self) -> LabelledUsers:
        """Return the last label of every user that is not deleted."""
        user_ids, indices = in_order(self._user_ids)
        is_last = np.ones(len(indices), np.bool_)
        is_last[:-1] = list(map(operator.ne, user_ids, itertools.islice(user_ids, 1, None)))
        labels = np.array(self._labels, np.int32)[indices]
        is_last &= labels != NO_LABEL
        if not is_last.all():
            user_ids = list(itertools.compress(user_ids, is_last))
            indices = indices[is_last]
            labels = labels[is_last]
        rows = cast(list[Row], self._rows)
        found = list(map(rows.__getitem__, indices.tolist()))
        return LabelledUsers(user_ids, found, labels, self._pending, self._unreadable)


def check_keys(messages: Mapping[bytes | None, Record]) -> None:
    """Raise StateError for a record without a key."""
    if None in messages:
        raise StateError(f"{position_of(messages[None])}: not written by user_classifier (no key); {OTHER_OUTPUT}")


def split_tombstones(messages: Collection[Record]) -> tuple[list[Record], list[Record]]:
    """Return the records with a value, and the tombstones."""
    labelled = [message for message in messages if message.value() is not None]
    return labelled, [message for message in messages if message.value() is None]


def split_unreadable(messages: Iterable[Record], values: LabelCodec) -> tuple[list[Record], list[Record]]:
    """Return the records that can be read, and those whose schema is missing or which have other features."""
    found: tuple[list[Record], list[Record]] = ([], [])
    for message in messages:
        value = message.value()
        # With a value, the pending rows have the features of its row.
        is_other = has_other_pending(message, values.features) if value is None else values.has_no_row(value)
        found[is_other].append(message)
    return found


def decode_labels(messages: Sequence[Record], values: LabelCodec) -> LabelColumns:
    """Return user_ids, rows and labels; StateError names the first record that has none."""
    try:
        return values.decode(cast(list[bytes], [message.value() for message in messages]))
    except RecordError as error:
        if len(messages) > 1:
            for message in messages:  # raises at the record that is bad
                decode_labels([message], values)
        where = position_of(messages[0])
        if isinstance(error, SchemaMissing):
            deleted = f"if subject {values.subject_name} was deleted permanently: run again with --rebuild"
            raise StateError(f"{where}: {error}; check [schema_registry] url; {deleted}") from None
        raise StateError(f"{where}: not written by user_classifier ({error}); {OTHER_OUTPUT}") from None


def user_of_key(message: Record, keys: KeyCodec, *, has_value: bool = False) -> str:
    """Return the user that the key of a record names.

    `has_value`: only the key names the user, and text does not begin like a key with a schema id.
    """
    key = message.key() or b""
    try:
        if has_value and not keys.are_avro and key.startswith(b"\0"):
            raise SchemaMissing(f"key {abbreviated(key)} has a schema id")
        return keys.decode(key)
    except SchemaMissing as error:
        why = f"{error}; subject {keys.subject_name} was deleted permanently"
        raise StateError(f"{position_of(message)}: {why}; {OTHER_OUTPUT}") from None
    except RecordError as error:
        raise StateError(f"{position_of(message)}: not written by user_classifier ({error}); {OTHER_OUTPUT}") from None
