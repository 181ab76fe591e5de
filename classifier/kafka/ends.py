"""The end offsets of a topic, as the leaders of its partitions report them now.

A consumer knows the end of a partition from the last answer to a fetch. While a broker hangs or is slow, that answer is
old: records that were committed since are missing from it. So before what cannot be undone (a deletion, the end of a
restore or of a run), the leaders are asked.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition

from classifier.kafka.client import Kafka

log = logging.getLogger("user_classifier")
REQUEST_SECONDS = 30.0  # of one request; after that the leader is asked again
RETRY_SECONDS = 0.5  # between a failed request and the next: the client looks for a new leader meanwhile
PATIENCE_SECONDS = 10.0  # without an answer, until the partitions are logged


class EndOffsets:
    """A request for the end offsets of some partitions; each answer is as of a moment after the request.

    Parameters
    ----------
    partitions : iterable of int
    committed : bool
        Whether the end is that of a read_committed consumer: the first record of an open transaction.
    quiet : bool
        Whether nothing waits for the answers, so that a leader that does not answer is not logged.
    """

    def __init__(
        self, kafka: Kafka, topic: str, partitions: Iterable[int], *, committed: bool = True, quiet: bool = False
    ) -> None:
        from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

        self._latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        self._isolation = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        self._outage = kafka.outage
        self._admin = kafka.admin("consumer")
        self._topic = topic
        self._ends: dict[int, int] = {}
        self._requests: dict[int, Future[Any]] = {}
        self._causes: dict[int, str] = {}
        self._asked_at = time.monotonic()
        self._ask_again_at = 0.0
        self._logged = False
        self._quiet = quiet
        self._missing = set(partitions)
        self._ask()

    def wait(self, seconds: float = 0.0) -> Mapping[int, int] | None:
        """Return the end offset of each partition, waiting up to `seconds`; None until every leader has answered."""
        until = time.monotonic() + seconds
        while self._missing:
            self._ask()
            self._collect(until)
            left = until - time.monotonic()
            if left <= 0:
                break
            if self._missing:
                time.sleep(min(left, RETRY_SECONDS))
        if self._missing:
            self._log_missing()
            return None
        self._outage.note_sound(f"leaders of {self._topic}")
        if self._logged:
            self._logged = False
            log.warning("%s: the leader of every partition answers again", self._topic)
        return self._ends

    def _ask(self) -> None:
        """Ask the leaders that were not asked yet or whose request failed, these after a pause."""
        unasked = self._missing - self._requests.keys()
        if not unasked or time.monotonic() < self._ask_again_at:
            return
        wanted = {TopicPartition(self._topic, partition): self._latest for partition in unasked}
        requests = self._admin.list_offsets(wanted, isolation_level=self._isolation, request_timeout=REQUEST_SECONDS)
        self._requests.update({at.partition: request for at, request in requests.items()})

    def _collect(self, until: float) -> None:
        """Take the answers that arrive before `until`."""
        for partition, request in list(self._requests.items()):
            try:
                self._ends[partition] = request.result(max(0.0, until - time.monotonic())).offset
                self._missing.discard(partition)
            except FutureTimeout:
                continue
            except KafkaException as exception:
                # An error that does not pass is raised by the consumer, which reads the same partition.
                self._causes[partition] = exception.args[0].str()
                self._ask_again_at = time.monotonic() + RETRY_SECONDS
            del self._requests[partition]

    def _log_missing(self) -> None:
        """Log once the partitions whose leaders have not answered for long."""
        if self._quiet or self._logged or time.monotonic() - self._asked_at < PATIENCE_SECONDS:
            return
        self._logged = True
        self._outage.note_silence(f"leaders of {self._topic}", self._asked_at)
        missing = sorted(self._missing)
        cause = next((self._causes[partition] for partition in missing if partition in self._causes), "no answer")
        log.warning(
            "%s %s: the leader does not report the end of the partition (%s); until it does, no user is deleted, and"
            " no restore, export or run with --until-end completes",
            self._topic,
            ", ".join(f"[{partition}]" for partition in missing),
            cause,
        )
