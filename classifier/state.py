"""State lives in `user_labeling`: the row and label of each user, and what else is known of it in a header."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from classifier.avro import BLOCK
from classifier.changelog import Sources
from classifier.errors import RecordError, StateError
from classifier.kafka import POLL_SECONDS
from classifier.keys import KeyCodec
from classifier.labels import LabelCodec
from classifier.marks import OTHER_OUTPUT
from classifier.records import Headers, Record, place
from classifier.sink import OutputRecord
from classifier.source import CHUNK, Source
from classifier.stop import StopRequest
from classifier.user_table import NO_LABEL, NOTHING, Change, Changes, Multiset

PENDING = "pending"  # header: JSON list of [total_amount, num_transactions, count]
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


def read_labels(source: Source, keys: KeyCodec, values: LabelCodec, stop: StopRequest) -> Changes:
    """Read `user_labeling` to its end and return the last word on every user."""
    last, newest = Changes(), dict[bytes | None, Record]()
    while not source.at_end and not stop.requested:
        newest.update({message.key(): message for message in source.read(CHUNK, POLL_SECONDS)})
        if len(newest) >= LABELS_AT_ONCE or source.at_end:
            take_labels(newest, last, keys, values)
            newest.clear()
    return last


def take_labels(messages: Mapping[bytes | None, Record], last: Changes, keys: KeyCodec, values: LabelCodec) -> None:
    """Decode labels, by their keys, into `last`; StateError for what this client does not write."""
    if None in messages:
        raise StateError(f"{place(messages[None])}: not written by user_classifier (no key); {OTHER_OUTPUT}")
    held = [message for message in messages.values() if message.value() is not None]
    try:
        labelled = values.decode([cast(bytes, message.value()) for message in held])
    except RecordError as error:
        topic = held[0].topic()
        raise StateError(f"{topic}: a value was not written by user_classifier ({error}); {OTHER_OUTPUT}") from None
    for message, (user_id, row, label) in zip(held, labelled, strict=True):
        last.labels[user_id], last.rows[user_id] = label, row
        if message.headers() or user_id in last.pending:
            last.pending[user_id] = pending_of(message)
    for message in messages.values():
        if message.value() is None:
            user_id = user_of(message, keys)
            last.labels[user_id], last.pending[user_id] = NO_LABEL, pending_of(message)
            last.rows.pop(user_id, None)


def user_of(message: Record, keys: KeyCodec) -> str:
    """Return the user whose tombstone this is."""
    try:
        return keys.decode(message.key() or b"")
    except RecordError as error:
        raise StateError(f"{place(message)}: not written by user_classifier ({error}); {OTHER_OUTPUT}") from None
