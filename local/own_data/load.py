"""Writes purchases to `transactions_enriched`, in place of statement 2.

Guarantee: a load is one Kafka transaction. A read_committed reader sees either all its records or none: an invalid row,
Ctrl-C or a kill leave nothing. Records are the same as Flink's: no key, no header (an insert), the registered schema,
the partition chosen by the value.
"""

from __future__ import annotations

import io
import itertools
import json
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import numpy as np
from confluent_kafka import KafkaError, KafkaException, Producer
from tqdm import tqdm

from local.own_data.purchases import Progress, Purchase, Purchases
from local.services.artifacts import Echo
from local.sql.confluent_sql import CreateTable, Table, parse
from local.sql.flink_tables import TRANSACTION_TIMEOUT_MS, Endpoints
from local.sql.inference import describes
from local.sql.topics import Topics
from local.sql.workspace import pipeline_files

TABLE = "transactions_enriched"
TRANSACTIONAL_ID = "load"
"""The same for all loads: a new load aborts the open transaction of a killed one, which would block readers."""

BLOCK = 2_000
POLL_SECONDS = 0.1
ANSWER_SECONDS = 30.0
MIN_TIMEOUT_MS = 60_000
MIN_RATE = 5_000
"""Purchases per second, from which the transaction's timeout is computed; brokers allow at most 15 minutes."""

COLUMNS = frozenset({"transaction_id", "user_id", "purchase_id", "amount"})
"""The columns that a load sets; card_id and store_id are unknown and stay NULL."""

_FRAME = struct.Struct(">bI")
_FENCED = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})


class LoadError(Exception):
    """Raised when a load fails; the message names the cause, and what is in the topic."""


class Target(NamedTuple):
    """The topic, and the schema of its values."""

    topic: str
    n_partitions: int
    schema_id: int
    schema: Any


def statement() -> Path:
    """Return the file of statement 1, which creates the table."""
    return pipeline_files()[0]


def table() -> Table:
    """Return the table that statement 1 creates."""
    parsed = parse(statement().read_text(encoding="utf-8"))
    if not (isinstance(parsed, CreateTable) and set(parsed.table.column_names) >= COLUMNS):
        raise LoadError(f"{statement().name} must create a table with the columns {', '.join(sorted(COLUMNS))}")
    return parsed.table


def target(topics: Topics) -> Target:
    """Return the existing topic of statement 1; LoadError if its schema is not the one that the statement registers."""
    expected = table()
    found = topics.latest_schema(f"{expected.name}-value")
    if found is None or not describes(found.schema, expected):
        raise LoadError(
            f"the schema {expected.name}-value is not the one that {statement().name} registers; "
            "to start over: python -m local down --delete-data, make up"
        )
    schema = fastavro.parse_schema(json.loads(found.schema))
    return Target(expected.name, topics.n_partitions(expected.name), found.schema_id, schema)


def count_purchases(purchases: Purchases, echo: Echo) -> int:
    """Read the file to its end and return the number of purchases; done before anything is started or written."""
    echo(f"{purchases.path}: {purchases.layout}")
    with bar("reading", purchases.n_bytes, "B") as advance:
        n_purchases = purchases.count(advance)
    echo(f"{purchases.path}: {n_purchases:,} purchases")
    return n_purchases


def load_file(purchases: Purchases, n_purchases: int, endpoints: Endpoints) -> None:
    """Load the purchases into the table of statement 1, which exists already."""
    into = target(Topics(endpoints))
    with bar("loading", n_purchases, " purchases") as advance:
        load(purchases, n_purchases, endpoints.bootstrap_servers, into, advance)


@contextmanager
def bar(what: str, total: int, unit: str) -> Iterator[Progress]:
    """Show a progress bar on standard error, on a terminal only; yield the function that advances it."""
    how = {"unit_scale": True, "leave": False, "dynamic_ncols": True, "disable": None}  # None: unless on a terminal
    with tqdm(desc=what, total=total, unit=unit, **how) as shown:

        def advance(n: int) -> None:
            shown.update(n)

        yield advance


def load(
    purchases: Iterable[Purchase], n_purchases: int, servers: str, into: Target, advance: Progress = lambda n: None
) -> None:
    """Write purchases in one Kafka transaction; LoadError if nothing was loaded, or if that is not known.

    Parameters
    ----------
    n_purchases : the number of purchases, for the transaction's timeout.
    advance : called with the number of purchases written since the last call.
    """
    start = time.monotonic()
    timeout_ms = min(TRANSACTION_TIMEOUT_MS, MIN_TIMEOUT_MS + n_purchases * 1000 // MIN_RATE)
    try:
        producer = _producer(servers, timeout_ms)
        producer.begin_transaction()
        try:
            for values in encoded(purchases, into):
                _write(producer, into, values)
                advance(len(values))
            _commit(producer, start + timeout_ms / 1000)
        except BaseException:
            # An unreachable broker aborts the transaction itself after the timeout.
            with suppress(KafkaException):
                producer.abort_transaction(ANSWER_SECONDS)
            raise
    except KafkaException as error:
        cause = _cause(error.args[0], time.monotonic() - start, timeout_ms)
        raise LoadError(f"nothing was loaded: {cause}") from None


def encoded(purchases: Iterable[Purchase], into: Target) -> Iterator[list[bytes]]:
    """Yield the values of the records in blocks. Transactions are numbered from 1, purchases from 0, as in Datagen."""
    prefix = _FRAME.pack(0, into.schema_id)
    numbered = enumerate(purchases)
    while block := list(itertools.islice(numbered, BLOCK)):
        body = io.BytesIO()
        ends = [0]
        for number, (user_id, amount) in block:
            row = {"transaction_id": number + 1, "user_id": user_id, "purchase_id": number, "amount": amount}
            fastavro.schemaless_writer(body, into.schema, row)
            ends.append(body.tell())
        data = body.getvalue()
        yield [prefix + data[start:end] for start, end in itertools.pairwise(ends)]


def partitions(values: Sequence[bytes], n_partitions: int) -> list[int]:
    """Return the partition of each value by its hash, as java/ValueHashPartitioner.java computes it.

    Java's hash of n bytes is 31^n + 31^(n-1) b_1 + ... + b_n, with signed bytes, in 32 bits.
    """
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    ends = np.cumsum(lengths)
    powers = np.cumprod(np.full(lengths.max() + 1, 31, np.uint32), dtype=np.uint32)
    powers = np.concatenate((np.ones(1, np.uint32), powers))
    data = np.frombuffer(b"".join(values), np.int8).astype(np.uint32)
    exponents = np.repeat(ends, lengths) - 1 - np.arange(len(data))
    hashes = np.add.reduceat(data * powers[exponents], ends - lengths) + powers[lengths]
    found: list[int] = np.mod(hashes.astype(np.int32), n_partitions).tolist()
    return found


def _producer(servers: str, timeout_ms: int) -> Producer:
    """Return a transactional producer; an earlier one is fenced and its open transaction aborted."""
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "transactional.id": TRANSACTIONAL_ID,
            "transaction.timeout.ms": timeout_ms,
            # Less than the transaction's timeout: librdkafka aborts the process when an answer comes after it.
            "socket.timeout.ms": MIN_TIMEOUT_MS // 2,
            "linger.ms": 20,
            "log_level": 0,  # errors are raised
        }
    )
    producer.init_transactions(ANSWER_SECONDS)
    return producer


def _write(producer: Producer, into: Target, values: Sequence[bytes]) -> None:
    for value, partition in zip(values, partitions(values, into.n_partitions), strict=True):
        while True:
            try:
                producer.produce(into.topic, value, partition=partition)
                break
            except BufferError:  # the queue is full
                producer.poll(POLL_SECONDS)
            except KafkaException:
                producer.commit_transaction(ANSWER_SECONDS)  # the transaction has failed; this raises the cause
                raise
    producer.poll(0)


def _commit(producer: Producer, deadline: float) -> None:
    while True:
        try:
            return producer.commit_transaction(ANSWER_SECONDS)
        except KafkaException as error:
            if not error.args[0].retriable():
                raise
            # A second call waits for the same commit. Until the broker answers, its result is not known.
            if time.monotonic() > deadline:
                raise LoadError(
                    "the broker did not confirm the commit: either all purchases were loaded or none; "
                    "see what runs: make status"
                ) from None


def _cause(error: KafkaError, seconds: float, timeout_ms: int) -> str:
    if error.code() not in _FENCED:
        return f"Kafka: {error.str()}; see what runs: make status"
    if seconds * 1000 > timeout_ms:
        return f"it took longer than the transaction timeout of {timeout_ms // 60_000} min; load the file in parts"
    return "another load has replaced this one"
