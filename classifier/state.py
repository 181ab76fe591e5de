"""State lives in `user_labeling`: the row and label of each user, and what else is known of it in a header."""

import itertools
import json
import logging
import math
import operator
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np

from classifier.avro import BLOCK
from classifier.changelog import Sources
from classifier.errors import RecordError, StateError
from classifier.kafka import POLL_SECONDS
from classifier.keys import KeyCodec
from classifier.labels import LabelCodec, LabelColumns
from classifier.marks import OTHER_OUTPUT
from classifier.multisets import NOTHING, Multiset
from classifier.records import Headers, Record, place
from classifier.rows import Row
from classifier.sink import OutputRecord
from classifier.source import CHUNK, Source
from classifier.stop import StopRequest
from classifier.user_table import NO_LABEL, Change, Labelled, in_order

log = logging.getLogger("user_classifier")
PATIENCE_SECONDS = 2.0  # with transactions that end as they should, such as those of an older instance
PENDING = "pending"  # header: JSON list of [total_amount, num_transactions, count]
FEW_WORDS = 100_000  # on users, old ones included, that take no memory to speak of
SOME = 64  # one user of so many is noted, which tells how many users there are
LABELS_AT_ONCE = 20_000  # users of whom the last label is kept before labels are decoded; earlier ones never are


def label_records(
    changes: Iterable[Change], keys: KeyCodec, values: LabelCodec, topic: str, sources: Sources | None = None
) -> Iterator[OutputRecord]:
    """Encode what is to be told of each user; a user who is gone becomes a tombstone."""
    left = iter(changes)
    while chunk := list(itertools.islice(left, BLOCK)):
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
        raise StateError(f"{place(message)}: not written by user_classifier ({error})") from None


def read_labels(source: Source, keys: KeyCodec, values: LabelCodec, stop: StopRequest) -> Labelled:
    """Read `user_labeling` to its end and return the last word on every user."""
    words = Words()
    for newest in newest_records(source, stop):
        words.take(newest, keys, values)
    return (Words() if stop.requested else words).last()  # a half is of no use


def newest_records(source: Source, stop: StopRequest) -> Iterator[dict[bytes | None, Record]]:
    """Read an output to its end, and yield many records at once, by key: of those read together the last.

    A transaction that another program has open there ends what a read_committed reader sees before the topic's own
    end: it is waited for, as half of the labels would be taken for all.
    """
    newest, hold = dict[bytes | None, Record](), Hold(source)
    while not stop.requested:
        newest.update({message.key(): message for message in source.read(CHUNK, POLL_SECONDS)})
        all_read = source.at_end and not hold.lasts()
        if len(newest) >= LABELS_AT_ONCE or all_read:
            yield newest
            newest.clear()
        if all_read:
            break


class Hold:
    """Tells whether open transactions hold back records that were there when the end was first reached."""

    def __init__(self, source: Source) -> None:
        self._source, self._ends = source, dict[int, int]()
        self._told_at: float | None = None  # when it is to be said
        self.told = ""  # what was said

    def lasts(self) -> bool:
        """Whether some are still held back; said once if it takes long."""
        self._ends = self._ends or self._source.ends()
        held = [(at, end) for at, end in self._ends.items() if self._source.positions[at] < end]
        if held and self._told_at is None:
            self._told_at = time.monotonic() + PATIENCE_SECONDS
        if held and self._told_at is not None and time.monotonic() >= self._told_at:
            self._told_at = math.inf
            partition, end = held[0]
            self.told = (
                f"{self._source.topic} [{partition}] at offset {self._source.positions[partition]}: an open transaction"
                f" of another program holds back what follows, up to offset {end}; waiting until that program or the"
                " broker ends it"
            )
            log.warning(self.told)
        return bool(held)


class Words:
    """What is said of users, in the order in which it is read; of a topic not compacted yet, no more than is of use."""

    def __init__(self) -> None:
        self._user_ids, self._rows, self._labels = list[str](), list[Row | None](), array("i")
        self._pending: dict[str, Multiset] = {}
        self._some: set[str] = set()

    def __len__(self) -> int:
        return len(self._user_ids)

    def take(self, messages: Mapping[bytes | None, Record], keys: KeyCodec, values: LabelCodec) -> None:
        """Decode labels, by their keys; StateError for what this client does not write."""
        held, gone = held_and_gone(messages)
        user_ids, rows, labels = labelled_in(held, values)
        for user_id, message in zip(user_ids, held, strict=True):
            if message.headers() or user_id in self._pending:
                self._pending[user_id] = pending_of(message)
        users_gone = [user_of(message, keys) for message in gone]
        self._pending.update(zip(users_gone, map(pending_of, gone), strict=True))
        self._user_ids += user_ids + users_gone
        self._rows += rows + [None] * len(gone)
        self._labels.extend(labels + [NO_LABEL] * len(gone))
        self._some.update(user_id for user_id in user_ids if hash(user_id) % SOME == 0)
        if len(self) > FEW_WORDS + 2 * SOME * len(self._some):
            last = self.last()
            self._user_ids, self._rows, self._labels = last.user_ids, [*last.rows], array("i", last.labels.tolist())

    def last(self) -> Labelled:
        """Return the last word on every user."""
        user_ids, places = in_order(self._user_ids)
        is_last = np.ones(len(places), np.bool_)
        is_last[:-1] = list(map(operator.ne, user_ids, itertools.islice(user_ids, 1, None)))
        labels = np.array(self._labels, np.int32)[places]
        is_last &= labels != NO_LABEL
        if not is_last.all():
            user_ids, places, labels = list(itertools.compress(user_ids, is_last)), places[is_last], labels[is_last]
        rows = cast(list[Row], self._rows)
        return Labelled(user_ids, list(map(rows.__getitem__, places.tolist())), labels, self._pending)


def held_and_gone(messages: Mapping[bytes | None, Record]) -> tuple[list[Record], list[Record]]:
    """Part records, by their keys, in those of users and those of users gone; StateError for one without a key."""
    if None in messages:
        raise StateError(f"{place(messages[None])}: not written by user_classifier (no key); {OTHER_OUTPUT}")
    held = [message for message in messages.values() if message.value() is not None]
    return held, [message for message in messages.values() if message.value() is None]


def labelled_in(messages: Sequence[Record], values: LabelCodec) -> LabelColumns:
    """Return user_ids, rows and labels; StateError for a record that holds none."""
    try:
        return values.decode(cast(list[bytes], [message.value() for message in messages]))
    except RecordError as error:
        if len(messages) > 1:
            for message in messages:  # one of them is none
                labelled_in([message], values)
        told = place(messages[0])
        raise StateError(f"{told}: not written by user_classifier ({error}); {OTHER_OUTPUT}") from None


def user_of(message: Record, keys: KeyCodec) -> str:
    """Return the user whose tombstone this is."""
    try:
        return keys.decode(message.key() or b"")
    except RecordError as error:
        raise StateError(f"{place(message)}: not written by user_classifier ({error}); {OTHER_OUTPUT}") from None
