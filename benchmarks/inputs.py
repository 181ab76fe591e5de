"""Input topics: a history written as Flink writes it, with what the client must make of it."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import fastavro
import numpy as np
from confluent_kafka import Producer
from numpy.typing import NDArray

from benchmarks.history import Changes, History, n_events_for, purchases, skewed_users, whole_amounts
from benchmarks.lines.job import USER
from benchmarks.stack import TIMEOUT_SECONDS, Stack
from tests.support.wire import AGGREGATE_SCHEMA, Headers, frame

N_PARTITIONS = 6
SEED = 20240
RECORDS_PER_TRANSACTION = 200_000
RECORDS_PER_POLL = 10_000
USERS_AT_ONCE = 500_000
HEADERS: dict[int, Headers | None] = {op: [("op", bytes([op]))] for op in range(4)}


class Record(NamedTuple):
    """One record to write."""

    partition: int
    value: bytes
    headers: Headers | None


@dataclass
class Input:
    """One topic, and the history in it."""

    topic: str
    history: History
    schema_id: int
    producer: Producer
    rng: np.random.Generator
    n_records: int = 0

    @property
    def n_users(self) -> int:
        """How many users are in it."""
        return self.history.n_users

    def spend(self, users: NDArray[np.int64]) -> Changes:
        """Let users act; nothing is written yet."""
        return self.history.spend(users, whole_amounts(self.rng, len(users)))

    def records(self, changes: Changes) -> Iterator[Record]:
        """Each change by a hash of its whole value, as Confluent places it."""
        events, places = np.unique(changes.events, return_inverse=True)
        values = encode(self.history, events, self.schema_id)
        for op, place in zip(changes.ops.tolist(), places.tolist(), strict=True):
            value = values[place]
            yield Record(zlib.crc32(value) % N_PARTITIONS, value, HEADERS[op])

    def write(self, changes: Changes) -> None:
        """Write records in transactions, as Flink does; returns when they are committed."""
        produce, poll = self.producer.produce, self.producer.poll
        self.producer.begin_transaction()
        for number, (partition, value, headers) in enumerate(self.records(changes), 1):
            produce(self.topic, value, partition=partition, headers=headers)
            if number % RECORDS_PER_POLL == 0:
                poll(0)
            if number % RECORDS_PER_TRANSACTION == 0:
                self.producer.commit_transaction(TIMEOUT_SECONDS)
                self.producer.begin_transaction()
        self.producer.commit_transaction(TIMEOUT_SECONDS)
        self.n_records += len(changes)


def encode(history: History, events: NDArray[np.int64], schema_id: int) -> list[bytes]:
    """The framed Avro value of the row after each event."""
    schema: Any = fastavro.parse_schema(AGGREGATE_SCHEMA)
    write, out, ends = fastavro.schemaless_writer, io.BytesIO(), [0]
    columns = (column[events].tolist() for column in (history.users, history.amounts, history.counts))
    for user, amount, count in zip(*columns, strict=True):
        write(out, schema, {"user_id": f"{USER}{user}", "total_amount": amount, "num_transactions": count})
        ends.append(out.tell())
    data, prefix = out.getvalue(), frame(schema_id, b"")
    return [prefix + data[start:end] for start, end in pairwise(ends)]


def empty_input(stack: Stack, topic: str, n_users: int) -> Input:
    """A new topic without records."""
    stack.topics.create(topic, N_PARTITIONS)
    schema_id = stack.subjects.register(f"{topic}-value", AGGREGATE_SCHEMA)
    producer = Producer(
        {
            "bootstrap.servers": stack.bootstrap_servers,
            "transactional.id": topic,
            "linger.ms": "20",
            "log_level": "0",  # what goes wrong is raised
            "queue.buffering.max.messages": str(2 * RECORDS_PER_TRANSACTION),
        }
    )
    producer.init_transactions(TIMEOUT_SECONDS)
    return Input(topic, History(n_users), schema_id, producer, np.random.default_rng(SEED + n_users))


def skewed_input(stack: Stack, topic: str, n_users: int, n_records: int) -> Input:
    """A topic of at least so many records, in which every user occurs."""
    source = empty_input(stack, topic, n_users)
    users = skewed_users(source.rng, n_users, n_events_for(n_users, n_records))
    source.write(source.spend(users))
    return source


def loaded_input(stack: Stack, topic: str, n_users: int) -> Input:
    """A topic in which each user has acted once."""
    source = empty_input(stack, topic, n_users)
    source.write(source.spend(np.arange(n_users, dtype=np.int64)))
    return source


def customers_input(stack: Stack, topic: str, n_users: int) -> Input:
    """A topic of one row a user, whose totals spread as those of real customers; written in pieces, to save memory."""
    source = empty_input(stack, topic, n_users)
    for start in range(0, n_users, USERS_AT_ONCE):
        users = np.arange(start, min(start + USERS_AT_ONCE, n_users), dtype=np.int64)
        source.history.spend(*purchases(source.rng, users))
        source.write(source.history.as_inserted(users))
    return source
