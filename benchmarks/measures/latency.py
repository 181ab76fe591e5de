"""From a record in `transactions_aggregate` to its label readable in `user_labeling`, at a steady rate."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Producer

from benchmarks.client import Client
from benchmarks.history import UPDATE_AFTER, Changes
from benchmarks.lines.job import USER
from benchmarks.measures.label_tail import LabelTail
from benchmarks.programs import CLIENT, Background, ProgramFailed
from benchmarks.summary import percentile

RECORDS_PER_SECOND = 1_000
TICK_SECONDS = 0.005
WARM_UP_SECONDS = 3.0
LATE_SECONDS = 20.0
BIN_SECONDS = 0.05
CLIENT_START_SECONDS = 60.0


@dataclass(frozen=True)
class Latency:
    """Seconds from produce() of a row to the first label of its user that is at least as new."""

    n_users: int
    n_labels: int
    median: float
    p99: float
    max: float
    bin_seconds: float
    bins: list[int]
    """How many labels took up to one bin's width, two, ..."""


@dataclass(eq=False)  # a thread has to be hashable
class Feed(threading.Thread):
    """Writes records at a steady rate and notes when each new row went out."""

    bootstrap_servers: str
    topic: str
    records: list[tuple[int, bytes, object]]
    sent: list[float]
    """When each record was handed to the producer; by record number, as far as written."""

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        """Write all records."""
        producer = Producer({"bootstrap.servers": self.bootstrap_servers, "linger.ms": "0", "log_level": "0"})
        began = time.monotonic()
        for number, (partition, value, headers) in enumerate(self.records):
            while time.monotonic() < began + number / RECORDS_PER_SECOND:
                producer.poll(TICK_SECONDS)
            self.sent.append(time.monotonic())
            producer.produce(self.topic, value, partition=partition, headers=headers)  # type: ignore[arg-type]
        producer.flush(LATE_SECONDS)


def latency(client: Client, seconds: float) -> Latency:
    """Let a client that has labelled its input follow a steady stream."""
    source = client.source
    with Background([sys.executable, CLIENT, *client.arguments()], client.log()) as background:
        tail = LabelTail(client.stack, client.output)
        source.write(source.spend(np.zeros(1, np.int64)))
        background.wait_until(lambda: bool(tail.take(1, 0.1)), CLIENT_START_SECONDS)
        n_events = int((seconds + WARM_UP_SECONDS) * RECORDS_PER_SECOND / 2)
        changes = source.spend(source.rng.integers(source.n_users, size=n_events).astype(np.int64))
        taken = follow(client, changes, tail)
        tail.close()
        background.stop()
    client.check()
    counted = [each for number, each in taken if number >= WARM_UP_SECONDS * RECORDS_PER_SECOND]
    return summary_of(source.n_users, counted)


def follow(client: Client, changes: Changes, tail: LabelTail) -> list[tuple[int, float]]:
    """Feed the changes; return number of the record and seconds until its label, for every new row."""
    source = client.source
    feed = Feed(client.stack.bootstrap_servers, source.topic, list(source.records(changes)), [])
    waiting = rows_waiting(client, changes)
    n_left = sum(map(len, waiting.values()))
    taken: list[tuple[int, float]] = []
    feed.start()
    deadline = time.monotonic() + len(changes) / RECORDS_PER_SECOND + LATE_SECONDS
    while len(taken) < n_left:
        labels = tail.take(1000, TICK_SECONDS)
        now = time.monotonic()
        for user_id, count, _ in labels:
            queue = waiting.get(user_id, deque())
            while queue and queue[0][0] <= count:
                number = queue.popleft()[1]
                taken.append((number, now - feed.sent[number]))
        if now > deadline:
            raise ProgramFailed(f"{n_left - len(taken)} labels did not come")
    feed.join()
    source.n_records += len(changes)
    return taken


def rows_waiting(client: Client, changes: Changes) -> dict[str, deque[tuple[int, int]]]:
    """user_id -> (num_transactions, number of the record), oldest first."""
    history = client.source.history
    waiting: dict[str, deque[tuple[int, int]]] = {}
    for number in np.flatnonzero(changes.ops == UPDATE_AFTER).tolist():
        event = changes.events[number]
        waiting.setdefault(f"{USER}{history.users[event]}", deque()).append((int(history.counts[event]), number))
    return waiting


def summary_of(n_users: int, seconds: list[float]) -> Latency:
    """Percentiles and a histogram."""
    bins = Counter(int(each / BIN_SECONDS) for each in seconds)
    counts = [bins[number] for number in range(max(bins) + 1)]
    median, p99 = percentile(seconds, 0.5), percentile(seconds, 0.99)
    return Latency(n_users, len(seconds), median, p99, max(seconds), BIN_SECONDS, counts)
