"""State lives in `user_labeling`: the row and label of each user, and what else is known of it in a header."""

import itertools
import json
import logging
import operator
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np

from classifier.errors import RecordError, StateError
from classifier.kafka.record import Headers, Record, position_of
from classifier.kafka.sink import OutputRecord
from classifier.kafka.source import Source, newest_records
from classifier.row import Row
from classifier.serialization.avro import RECORDS_PER_BLOCK
from classifier.stop import StopRequest
from classifier.users.changelog import Sources
from classifier.users.multiset import NOTHING, Multiset
from classifier.users.offset_metadata import OTHER_OUTPUT
from classifier.users.output_codec import KeyCodec, LabelCodec, LabelColumns
from classifier.users.table import NO_LABEL, Change, LabelledUsers, in_order

log = logging.getLogger("user_classifier")
PENDING = "pending"  # header: JSON list of [total_amount, num_transactions, count]
COMPACT_ABOVE = 100_000  # on users, old ones included, that take no memory to speak of
SOME = 64  # one user of so many is noted, which tells how many users there are


def label_records(
    changes: Iterable[Change], keys: KeyCodec, values: LabelCodec, topic: str, sources: Sources | None = None
) -> Iterator[OutputRecord]:
    """Encode what is to be told of each user; a user who is gone becomes a tombstone."""
    left = iter(changes)
    while chunk := list(itertools.islice(left, RECORDS_PER_BLOCK)):
        labelled = [(user_id, row, label) for user_id, row, label, _ in chunk if row]
        encoded = iter(values.encode(labelled, sources or {}))
        for key, (_, row, _, pending) in zip(keys.encode([change[0] for change in chunk]), chunk, strict=True):
            headers = pending_headers(pending) if pending else None
            yield topic, key, next(encoded) if row else None, headers


def pending_headers(pending: Multiset) -> Headers:
    """Return the header that keeps what is pending."""
    return [(PENDING, json.dumps([[*row, count] for row, count in pending.items()]).encode())]


def pending_of(message: Record) -> Multiset:
    """Decode what `pending_headers` encoded."""
    headers = message.headers()
    if not headers:
        return NOTHING
    try:
        known = [row for name, value in headers if name == PENDING for row in json.loads(value)]
        return {(float(amount), int(number)): int(count) for amount, number, count in known}
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise StateError(f"{position_of(message)}: not written by user_classifier ({error})") from None


def read_labels(source: Source, keys: KeyCodec, values: LabelCodec, stop: StopRequest) -> LabelledUsers:
    """Read `user_labeling` to its end and return the last word on every user."""
    words = LabelLog()
    for newest in newest_records(source, stop):
        words.take(newest, keys, values)
    return (LabelLog() if stop.requested else words).last()  # a half is of no use


class LabelLog:
    """What is said of users, in the order in which it is read; of a topic not compacted yet, no more than is of use."""

    def __init__(self) -> None:
        self._user_ids, self._rows, self._labels = list[str](), list[Row | None](), array("i")
        self._pending: dict[str, Multiset] = {}
        self._some: set[str] = set()

    def __len__(self) -> int:
        return len(self._user_ids)

    def take(self, messages: Mapping[bytes | None, Record], keys: KeyCodec, values: LabelCodec) -> None:
        """Decode labels, by their keys; StateError for what this client does not write."""
        held, gone = split_tombstones(messages)
        user_ids, rows, labels = decode_labels(held, values)
        for user_id, message in zip(user_ids, held, strict=True):
            if message.headers() or user_id in self._pending:
                self._pending[user_id] = pending_of(message)
        users_gone = [user_of_tombstone(message, keys) for message in gone]
        self._pending.update(zip(users_gone, map(pending_of, gone), strict=True))
        self._user_ids += user_ids + users_gone
        self._rows += rows + [None] * len(gone)
        self._labels.extend(labels + [NO_LABEL] * len(gone))
        self._some.update(user_id for user_id in user_ids if hash(user_id) % SOME == 0)
        if len(self) > COMPACT_ABOVE + 2 * SOME * len(self._some):
            last = self.last()
            self._user_ids, self._rows, self._labels = last.user_ids, [*last.rows], array("i", last.labels.tolist())

    def last(self) -> LabelledUsers:
        """Return the last word on every user."""
        user_ids, places = in_order(self._user_ids)
        is_last = np.ones(len(places), np.bool_)
        is_last[:-1] = list(map(operator.ne, user_ids, itertools.islice(user_ids, 1, None)))
        labels = np.array(self._labels, np.int32)[places]
        is_last &= labels != NO_LABEL
        if not is_last.all():
            user_ids, places, labels = list(itertools.compress(user_ids, is_last)), places[is_last], labels[is_last]
        rows = cast(list[Row], self._rows)
        return LabelledUsers(user_ids, list(map(rows.__getitem__, places.tolist())), labels, self._pending)


def split_tombstones(messages: Mapping[bytes | None, Record]) -> tuple[list[Record], list[Record]]:
    """Part records, by their keys, in those of users and those of users gone; StateError for one without a key."""
    if None in messages:
        raise StateError(f"{position_of(messages[None])}: not written by user_classifier (no key); {OTHER_OUTPUT}")
    held = [message for message in messages.values() if message.value() is not None]
    return held, [message for message in messages.values() if message.value() is None]


def decode_labels(messages: Sequence[Record], values: LabelCodec) -> LabelColumns:
    """Return user_ids, rows and labels; StateError for a record that holds none."""
    try:
        return values.decode(cast(list[bytes], [message.value() for message in messages]))
    except RecordError as error:
        if len(messages) > 1:
            for message in messages:  # one of them is none
                decode_labels([message], values)
        told = position_of(messages[0])
        raise StateError(f"{told}: not written by user_classifier ({error}); {OTHER_OUTPUT}") from None


def user_of_tombstone(message: Record, keys: KeyCodec) -> str:
    """Return the user whose tombstone this is."""
    try:
        return keys.decode(message.key() or b"")
    except RecordError as error:
        raise StateError(f"{position_of(message)}: not written by user_classifier ({error}); {OTHER_OUTPUT}") from None
