"""A read_committed reader of the output, which records what it reads during a run, and when."""

import threading
import time
from bisect import bisect_left
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

POLL_S = 0.1
_arrived = attrgetter("arrived")
READING_S = 30.0
"""How long it may take to reach the end of a new topic."""


class Seen(NamedTuple):
    """One record."""

    partition: int
    offset: int
    made: float
    """When the client produced it; seconds since the epoch."""
    arrived: float
    """When it was read; seconds since the epoch."""
    key: bytes | None
    value: bytes | None


class Watcher(threading.Thread):
    """Records every label in the order of arrival."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(daemon=True)
        self.seen: list[Seen] = []
        self._stopping = threading.Event()
        self._ended: set[int] = set()
        """Partitions whose end has been reached."""
        reading = {"group.id": "watcher", "isolation.level": "read_committed", "enable.auto.commit": False}
        ends = {"enable.partition.eof": True}
        patience = {"reconnect.backoff.max.ms": 500, "fetch.wait.max.ms": 10, "log_level": 0}
        settings = {"bootstrap.servers": pipeline.topics.bootstrap_servers, **reading, **ends, **patience}
        self._consumer = Consumer(settings)
        self._partitions = pipeline.topics.partitions(pipeline.output)
        self._consumer.assign([TopicPartition(pipeline.output, at, 0) for at in self._partitions])

    def start(self) -> None:
        """Start, and return once every partition is read to its end: from then on, no record is missed."""
        super().start()
        wait_until(lambda: self._ended == {*self._partitions}, "the watcher to read every partition", READING_S)

    def run(self) -> None:
        """Read until stopped; see Thread."""
        while not self._stopping.is_set():
            for message in self._consumer.consume(1000, POLL_S):
                self._note(message)
        self._consumer.close()

    def _note(self, message: Message) -> None:
        partition = message.partition()
        offset = message.offset()
        error = message.error()
        if partition is None or offset is None:
            return
        if error is None:
            made = message.timestamp()[1] / 1000
            self.seen.append(Seen(partition, offset, made, time.time(), message.key(), message.value()))
        elif error.code() == KafkaError._PARTITION_EOF:
            self._ended.add(partition)

    def stop(self) -> None:
        """Stop reading."""
        self._stopping.set()
        self.join()

    def first_made(self, since: float) -> Seen | None:
        """The first record made after `since`, seconds since the epoch."""
        position = bisect_left(self.seen, since, key=_arrived)  # records arrive after they are made
        return next((each for each in self.seen[position:] if each.made >= since), None)

    def longest_gap(self, since: float) -> float:
        """The longest time without a label from `since`, seconds since the epoch, to the last label."""
        arrivals = [each.arrived for each in self.seen[bisect_left(self.seen, since, key=_arrived) :]]
        return max((later - earlier for earlier, later in pairwise([since, *arrivals])), default=0.0)

    def label_since(self, since: float) -> float | None:
        """Seconds from `since` to the arrival of the first label made after it; None without one."""
        first = self.first_made(since)
        return None if first is None else first.arrived - since
