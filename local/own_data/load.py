"""Purchases as records of `transactions_enriched`, where statement 2 would write them.

Guarantee: all of a load is readable (read_committed) from the moment its one Kafka transaction is committed, or none
of it ever: a line that is no purchase, Ctrl-C, a kill leave nothing. Records are as Flink writes them: no key, no
header (a row added), the registered schema, the partition by the value.
"""

from __future__ import annotations

import io
import itertools
import json
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import numpy as np
from confluent_kafka import KafkaError, KafkaException, Producer
from tqdm import tqdm

from local.own_data.purchases import Purchase, Purchases
from local.services.artifacts import Echo
from local.sql.confluent_sql import CreateTable, Table, parse
from local.sql.flink_tables import TRANSACTION_TIMEOUT_MS, Endpoints
from local.sql.inference import describes
from local.sql.topics import Topics
from local.sql.workspace import pipeline_files

TABLE = "transactions_enriched"
TRANSACTIONAL_ID = "load"
"""One for all loads: a new one ends at once what a killed one has left open, which readers would wait for."""

BLOCK = 2_000
POLL_SECONDS = 0.1
ANSWER_SECONDS = 30.0
LEAST_TIMEOUT_MS = 60_000
SLOWEST = 5_000
"""Purchases a second: the transaction's time is for these at least, up to the most that brokers allow, 15 minutes."""

COLUMNS = frozenset({"transaction_id", "user_id", "purchase_id", "amount"})
"""What a load fills; the cards and stores of purchases are not known, and their columns stay NULL."""

_FRAME = struct.Struct(">bI")
_TAKEN = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})

Progress = Callable[[int], None]


def ignore(n: int) -> None:
    """Nobody wants to hear of progress."""


class LoadError(Exception):
    """Purchases were not loaded; the message says why, and what is in the topic."""


class Target(NamedTuple):
    """The topic, and how its values are written."""

    topic: str
    n_partitions: int
    schema_id: int
    schema: Any


def statement() -> Path:
    """The file of statement 1, which makes the table."""
    return pipeline_files()[0]


def table() -> Table:
    """The table that statement 1 makes."""
    made = parse(statement().read_text(encoding="utf-8"))
    if not (isinstance(made, CreateTable) and set(made.table.column_names) >= COLUMNS):
        raise LoadError(f"{statement().name} must make a table with the columns {', '.join(sorted(COLUMNS))}")
    return made.table


def target(topics: Topics) -> Target:
    """The table of statement 1 as it is there; LoadError if its schema is not the one that the statement makes."""
    made = table()
    found = topics.latest_schema(f"{made.name}-value")
    if found is None or not describes(found.schema, made):
        raise LoadError(
            f"the schema {made.name}-value is not the one that {statement().name} registers; "
            "to start from nothing: python -m local down --delete-data, make up"
        )
    schema = fastavro.parse_schema(json.loads(found.schema))
    return Target(made.name, topics.n_partitions(made.name), found.schema_id, schema)


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
    purchases: Iterable[Purchase], n_purchases: int, servers: str, into: Target, advance: Progress = ignore
) -> None:
    """Write purchases in one Kafka transaction; LoadError if nothing was loaded, or if that is not known.

    Parameters
    ----------
    n_purchases : the number of purchases, for the transaction's time-out.
    advance : called with the number of purchases written since the last call.
    """
    began = time.monotonic()
    timeout_ms = min(TRANSACTION_TIMEOUT_MS, LEAST_TIMEOUT_MS + n_purchases * 1000 // SLOWEST)
    try:
        producer = _producer(servers, timeout_ms)
        producer.begin_transaction()
        try:
            for values in encoded(purchases, into):
                _write(producer, into, values)
                advance(len(values))
            _commit(producer, began + timeout_ms / 1000)
        except BaseException:
            # What a broker that is away does not hear, it does itself when the time is over.
            with suppress(KafkaException):
                producer.abort_transaction(ANSWER_SECONDS)
            raise
    except KafkaException as error:
        why = _meaning(error.args[0], time.monotonic() - began, timeout_ms)
        raise LoadError(f"nothing is loaded: {why}") from None


def encoded(purchases: Iterable[Purchase], into: Target) -> Iterator[list[bytes]]:
    """The values of the records, in blocks. Transactions are numbered from 1, purchases from 0, as Datagen does."""
    prefix, numbered = _FRAME.pack(0, into.schema_id), enumerate(purchases)
    while block := list(itertools.islice(numbered, BLOCK)):
        body, ends = io.BytesIO(), [0]
        for number, (user_id, amount) in block:
            row = {"transaction_id": number + 1, "user_id": user_id, "purchase_id": number, "amount": amount}
            fastavro.schemaless_writer(body, into.schema, row)
            ends.append(body.tell())
        data = body.getvalue()
        yield [prefix + data[start:end] for start, end in itertools.pairwise(ends)]


def partitions(values: Sequence[bytes], n_partitions: int) -> list[int]:
    """The partition of each value by its hash, as java/ValueHashPartitioner.java computes it.

    Java's hash of bytes is 31^n + 31^(n-1) b_1 + ... + b_n, with signed bytes, in 32 bits.
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
    """A producer of whose kind there is one; what another has left open is ended."""
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "transactional.id": TRANSACTIONAL_ID,
            "transaction.timeout.ms": timeout_ms,
            # librdkafka must hear of a request's end before the transaction's: a late answer ends the process.
            "socket.timeout.ms": LEAST_TIMEOUT_MS // 2,
            "linger.ms": 20,
            "log_level": 0,  # what goes wrong is raised
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
            except BufferError:  # the queue is full: let it drain
                producer.poll(POLL_SECONDS)
            except KafkaException:
                producer.commit_transaction(ANSWER_SECONDS)  # it has failed; the attempt to end it says why
                raise
    producer.poll(0)


def _commit(producer: Producer, deadline: float) -> None:
    while True:
        try:
            return producer.commit_transaction(ANSWER_SECONDS)
        except KafkaException as error:
            if not error.args[0].retriable():
                raise
            # Asked again it goes on waiting. When the broker answers at last, the purchases are there or not.
            if time.monotonic() > deadline:
                raise LoadError(
                    "the broker did not say whether all is loaded or nothing; see what runs: make status"
                ) from None


def _meaning(error: KafkaError, seconds: float, timeout_ms: int) -> str:
    if error.code() not in _TAKEN:
        return f"Kafka: {error.str()}; see what runs: make status"
    if seconds * 1000 > timeout_ms:
        return f"it took longer than the {timeout_ms // 60_000} min that there are for it; load the file in parts"
    return "another load has taken its place"
