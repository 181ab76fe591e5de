"""The time from a record in `transactions_aggregate` to its label in `user_labeling`, at a constant rate."""

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
from benchmarks.measures.label_tail import LabelTail
from benchmarks.processes import CLIENT, Background, ProgramFailed
from benchmarks.programs.job import USER
from benchmarks.summary import percentile

RECORDS_PER_SECOND = 1_000
TICK_SECONDS = 0.005
WARM_UP_SECONDS = 3.0
LATE_SECONDS = 20.0
"""How long after the last record its label may be read."""
BIN_SECONDS = 0.05
CLIENT_START_SECONDS = 60.0


@dataclass(frozen=True)
class Latency:
    """Seconds from produce() of a row to the first label of its user with this row or a newer one."""

    n_users: int
    n_labels: int
    median: float
    p99: float
    max: float
    bin_seconds: float
    bins: list[int]
    """Histogram: the number of labels in each bin, from 0 s."""


@dataclass(eq=False)  # a thread has to be hashable
class Writer(threading.Thread):
    """Writes records at a constant rate, and keeps the time of each."""

    bootstrap_servers: str
    topic: str
    records: list[tuple[int, bytes, object]]
    sent: list[float]
    """When each record was passed to the producer, by record number."""

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
    """Measure the latency of a client that has labelled its input, with a constant stream of records."""
    source = client.source
    with Background([sys.executable, CLIENT, *client.arguments()], client.log()) as background:
        tail = LabelTail(client.stack, client.output)
        source.write(source.add_events(np.zeros(1, np.int64)))
        background.wait_until(lambda: bool(tail.read(1, 0.1)), CLIENT_START_SECONDS)
        n_events = int((seconds + WARM_UP_SECONDS) * RECORDS_PER_SECOND / 2)
        changes = source.add_events(source.rng.integers(source.n_users, size=n_events).astype(np.int64))
        latencies = measure_latencies(client, changes, tail)
        tail.close()
        background.stop()
    client.check()
    counted = [latency for number, latency in latencies if number >= WARM_UP_SECONDS * RECORDS_PER_SECOND]
    return summary_of(source.n_users, counted)


def measure_latencies(client: Client, changes: Changes, tail: LabelTail) -> list[tuple[int, float]]:
    """Write the changes; return number of the record and seconds until its label, for every new row."""
    source = client.source
    writer = Writer(client.stack.bootstrap_servers, source.topic, list(source.records(changes)), [])
    unlabelled = rows_by_user(client, changes)
    n_rows = sum(map(len, unlabelled.values()))
    latencies: list[tuple[int, float]] = []
    writer.start()
    deadline = time.monotonic() + len(changes) / RECORDS_PER_SECOND + LATE_SECONDS
    while len(latencies) < n_rows:
        labels = tail.read(1000, TICK_SECONDS)
        now = time.monotonic()
        for user_id, count, _ in labels:
            queue = unlabelled.get(user_id, deque())
            while queue and queue[0][0] <= count:
                number = queue.popleft()[1]
                latencies.append((number, now - writer.sent[number]))
        if now > deadline:
            raise ProgramFailed(f"{n_rows - len(latencies)} labels are missing after {LATE_SECONDS:.0f} s")
    writer.join()
    source.n_records += len(changes)
    return latencies


def rows_by_user(client: Client, changes: Changes) -> dict[str, deque[tuple[int, int]]]:
    """Return the new rows of each user as (num_transactions, number of the record), oldest first."""
    history = client.source.history
    rows: dict[str, deque[tuple[int, int]]] = {}
    for number in np.flatnonzero(changes.ops == UPDATE_AFTER).tolist():
        event = changes.events[number]
        rows.setdefault(f"{USER}{history.users[event]}", deque()).append((int(history.counts[event]), number))
    return rows


def summary_of(n_users: int, seconds: list[float]) -> Latency:
    """Return percentiles and a histogram."""
    bins = Counter(int(each / BIN_SECONDS) for each in seconds)
    counts = [bins[number] for number in range(max(bins) + 1)]
    return Latency(
        n_users=n_users,
        n_labels=len(seconds),
        median=percentile(seconds, 0.5),
        p99=percentile(seconds, 0.99),
        max=max(seconds),
        bin_seconds=BIN_SECONDS,
        bins=counts,
    )
