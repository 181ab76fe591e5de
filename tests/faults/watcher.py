"""A read_committed reader of the output that looks on during the run and notes what it sees, and when."""

import threading
import time
from bisect import bisect_left
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from tests.support.pipeline import Pipeline

POLL_S = 0.1


class Seen(NamedTuple):
    """One record, as it came."""

    partition: int
    offset: int
    made: float
    """When the client produced it, seconds since the epoch."""
    arrived: float
    """When it was seen, seconds since the epoch."""


class Watcher(threading.Thread):
    """Notes each label in the order of arrival."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(daemon=True)
        self.seen: list[Seen] = []
        self._stopping = threading.Event()
        reading = {"group.id": "watcher", "isolation.level": "read_committed", "enable.auto.commit": False}
        patience = {"reconnect.backoff.max.ms": 500, "fetch.wait.max.ms": 10, "log_level": 0}
        # A topic made a moment ago may not be known yet.
        patience["topic.metadata.refresh.interval.ms"] = 1000
        self._consumer = Consumer({"bootstrap.servers": pipeline.topics.bootstrap_servers, **reading, **patience})
        partitions = pipeline.topics.partitions(pipeline.output)
        self._consumer.assign([TopicPartition(pipeline.output, at, OFFSET_BEGINNING) for at in partitions])

    def run(self) -> None:
        """Read until stopped; see Thread."""
        while not self._stopping.is_set():
            for message in self._consumer.consume(1000, POLL_S):
                partition, offset = message.partition(), message.offset()
                if message.error() is None and partition is not None and offset is not None:
                    self.seen.append(Seen(partition, offset, message.timestamp()[1] / 1000, time.time()))
        self._consumer.close()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self.join()

    def first_made(self, since: float) -> Seen | None:
        """The first record seen that was made after `since`, seconds since the epoch."""
        position = bisect_left(self.seen, since, key=lambda each: each.arrived)  # none arrives before it is made
        return next((each for each in self.seen[position:] if each.made >= since), None)

    def label_since(self, since: float) -> float | None:
        """Seconds from `since` to the arrival of the first label made after it; None if none has come."""
        first = self.first_made(since)
        return None if first is None else first.arrived - since
