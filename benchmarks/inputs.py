"""Input topics: a history in the format of Flink's changelog, in Confluent Avro."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import fastavro
import numpy as np
from confluent_kafka import Producer
from numpy.typing import NDArray

from benchmarks.history import Changes, History, n_events_for, purchases, skewed_users, whole_amounts
from benchmarks.programs.job import USER
from benchmarks.stack import TIMEOUT_SECONDS, Stack
from tests.support.wire import AGGREGATE_SCHEMA, TIMED, Headers, frame, record_schema

N_PARTITIONS = 6
SEED = 20240
RECORDS_PER_TRANSACTION = 200_000
RECORDS_PER_POLL = 10_000
CHUNK_USERS = 500_000
"""Users whose records are written together: a bound on memory."""
HEADERS: dict[int, Headers | None] = {op: [("op", bytes([op]))] for op in range(4)}
FIRST_DAY_MS = 1_700_000_000_000
WIDE_SCHEMA = record_schema("transactions_aggregate_value", **TIMED, num_visits="int", mean_amount="double")
"""Of `wide_columns`."""


def wide_columns(amounts: NDArray[np.float64], counts: NDArray[np.int64]) -> Mapping[str, NDArray[Any]]:
    """Return three more columns of rows, computed from their totals."""
    whole = amounts.astype(np.int64)
    minutes = (7919 * whole + 104_729 * counts) % (365 * 24 * 60)
    return {
        "last_purchase": FIRST_DAY_MS + 60_000 * minutes,
        "num_visits": counts + whole % 13,
        "mean_amount": amounts / counts,
    }


class Record(NamedTuple):
    """A record to be written."""

    partition: int
    value: bytes
    headers: Headers | None


@dataclass
class Input:
    """A topic, and the history in it."""

    topic: str
    history: History
    schema_id: int
    producer: Producer
    rng: np.random.Generator
    n_records: int = 0
    wide: bool = False
    """Whether rows have `wide_columns` besides the two totals."""

    @property
    def n_users(self) -> int:
        """Number of users in the history."""
        return self.history.n_users

    def add_events(self, users: NDArray[np.int64]) -> Changes:
        """Append an event for each of these users; return the changelog, which is not written yet."""
        return self.history.add_events(users, whole_amounts(self.rng, len(users)))

    def records(self, changes: Changes) -> Iterator[Record]:
        """Yield a record for each change; its partition is a hash of the whole value, as in Confluent Cloud."""
        events, indices = np.unique(changes.events, return_inverse=True)
        values = self.encode(events)
        for op, index in zip(changes.ops.tolist(), indices.tolist(), strict=True):
            value = values[index]
            yield Record(zlib.crc32(value) % N_PARTITIONS, value, HEADERS[op])

    def encode(self, events: NDArray[np.int64]) -> list[bytes]:
        """Return the row after each event as a Confluent Avro value."""
        schema: Any = fastavro.parse_schema(value_schema(wide=self.wide))
        write = fastavro.schemaless_writer
        out = io.BytesIO()
        ends = [0]
        history = self.history
        amounts, counts = history.amounts[events], history.counts[events]
        columns = {
            "total_amount": amounts,
            "num_transactions": counts,
            **(wide_columns(amounts, counts) if self.wide else {}),
        }
        users = history.users[events].tolist()
        for user, *values in zip(users, *(column.tolist() for column in columns.values()), strict=True):
            write(out, schema, {"user_id": f"{USER}{user}", **dict(zip(columns, values, strict=True))})
            ends.append(out.tell())
        data = out.getvalue()
        prefix = frame(self.schema_id, b"")
        return [prefix + data[start:end] for start, end in pairwise(ends)]

    def write(self, changes: Changes) -> None:
        """Write records in transactions, as Flink does; return when they are committed."""
        produce = self.producer.produce  # one look-up for all records
        self.producer.begin_transaction()
        for number, (partition, value, headers) in enumerate(self.records(changes), 1):
            produce(self.topic, value, partition=partition, headers=headers)
            if number % RECORDS_PER_POLL == 0:
                self.producer.poll(0)
            if number % RECORDS_PER_TRANSACTION == 0:
                self.producer.commit_transaction(TIMEOUT_SECONDS)
                self.producer.begin_transaction()
        self.producer.commit_transaction(TIMEOUT_SECONDS)
        self.n_records += len(changes)


def value_schema(*, wide: bool) -> dict[str, Any]:
    """Return the schema of the rows of an input."""
    return WIDE_SCHEMA if wide else AGGREGATE_SCHEMA


def empty_input(stack: Stack, topic: str, n_users: int, *, wide: bool = False) -> Input:
    """Create a topic without records, and its schema; `wide` adds three columns to the totals."""
    stack.topics.create(topic, N_PARTITIONS)
    schema_id = stack.subjects.register(f"{topic}-value", value_schema(wide=wide))
    producer = Producer(
        {
            "bootstrap.servers": stack.bootstrap_servers,
            "transactional.id": topic,
            "linger.ms": "20",
            "log_level": "0",  # errors are raised
            "queue.buffering.max.messages": str(2 * RECORDS_PER_TRANSACTION),
        }
    )
    producer.init_transactions(TIMEOUT_SECONDS)
    return Input(topic, History(n_users), schema_id, producer, np.random.default_rng(SEED + n_users), wide=wide)


def skewed_input(stack: Stack, topic: str, n_users: int, n_records: int, *, wide: bool = False) -> Input:
    """Write a topic of at least `n_records` in which every user occurs."""
    source = empty_input(stack, topic, n_users, wide=wide)
    users = skewed_users(source.rng, n_users, n_events_for(n_users, n_records))
    source.write(source.add_events(users))
    return source


def loaded_input(stack: Stack, topic: str, n_users: int) -> Input:
    """Write a topic with one event per user."""
    source = empty_input(stack, topic, n_users)
    source.write(source.add_events(np.arange(n_users, dtype=np.int64)))
    return source


def customers_input(stack: Stack, topic: str, n_users: int) -> Input:
    """Write a topic with one +I per user; totals have the distribution of real customers."""
    source = empty_input(stack, topic, n_users)
    for start in range(0, n_users, CHUNK_USERS):
        users = np.arange(start, min(start + CHUNK_USERS, n_users), dtype=np.int64)
        source.history.add_events(*purchases(source.rng, users))
        source.write(source.history.inserts(users))
    return source
