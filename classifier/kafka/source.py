"""Topics as the group's consumer reads them: partitions, offsets, committed records."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from classifier.errors import UNKNOWN_TOPIC_CODES, BrokerUnavailable, RestoreNeeded
from classifier.kafka.client import CALL_TIMEOUT_SECONDS, POLL_SECONDS, Kafka
from classifier.kafka.record import Record
from classifier.stop import StopRequest

log = logging.getLogger("user_classifier")
PATIENCE_SECONDS = 2.0  # with transactions that end as they should, such as those of an older instance
LABELS_PER_DECODE = 20_000  # users of whom the last label is kept before labels are decoded; earlier ones never are
MAX_POLL_RECORDS = (
    2_000  # records taken at once at most; as many stay in a processor's cache until all is done with them
)


class Topic:
    """One topic as the group's consumer sees it; every call is repeated through an outage."""

    def __init__(self, kafka: Kafka, consumer: Consumer, name: str, *, uses_group: bool = True) -> None:
        """Not `uses_group`: as for `Source`."""
        self.name, self._kafka, self._consumer, self._uses_group = name, kafka, consumer, uses_group

    def partitions(self, doing: str = "read") -> list[int]:
        """Return the partitions, none where the topic does not exist."""
        return self._kafka.call(f"{doing} topic {self.name}", lambda: partitions_of(self._consumer, self.name))

    def committed(self, group: str) -> dict[int, TopicPartition]:
        """Return the group's offset in each partition, with the metadata beside it."""
        wanted = [TopicPartition(self.name, partition) for partition in self.partitions()]
        doing = f"read the offsets of group {group}"
        found = self._kafka.call(doing, lambda: committed_offsets(self._consumer, wanted))
        return {each.partition: each for each in found}

    def watermarks(self, partition: int) -> tuple[int, int]:
        """Return the first and the next offset of a partition."""
        at, watermarks = TopicPartition(self.name, partition), self._consumer.get_watermark_offsets
        return self._kafka.call(f"read topic {self.name}", lambda: watermarks(at, CALL_TIMEOUT_SECONDS))

    def read_from(self, offsets: Mapping[int, int], on_poll: Callable[[], object] = lambda: None) -> "Source":
        """Read these partitions, each from its offset on; `on_poll` is told of each poll."""
        return Source(self._kafka, self._consumer, self.name, offsets, on_poll, uses_group=self._uses_group)


class Source:
    """Every partition of one topic, from given offsets on, committed records only."""

    def __init__(
        self,
        kafka: Kafka,
        consumer: Consumer,
        topic: str,
        offsets: Mapping[int, int],
        on_poll: Callable[[], object] = lambda: None,
        *,
        uses_group: bool = True,
    ) -> None:
        """`on_poll` is called at each poll. Without `uses_group`, the group is not used and needs no permission."""
        self._on_poll, self._uses_group = on_poll, uses_group
        self.topic, self._kafka, self._consumer, self._partitions = topic, kafka, consumer, set(offsets)
        # partition -> offset of the next record; complete from the start, so that every commit covers them all
        self.positions = {partition: at for partition, at in offsets.items() if at >= 0}
        self._at_end: set[int] = set()
        consumer.assign([TopicPartition(topic, partition, at) for partition, at in offsets.items()])

    @property
    def at_end(self) -> bool:
        """Whether every partition has been read to its end."""
        return self._at_end == self._partitions

    def end_offsets(self) -> dict[int, int]:
        """Return where each partition ends, uncommitted records included, as far as the client has heard."""
        return {
            partition: self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), cached=True)[1]
            for partition in self.positions
        }

    def lag(self) -> dict[int, int]:
        """Return how many records each partition is behind, as far as the client has heard."""
        return {partition: max(0, end - self.positions[partition]) for partition, end in self.end_offsets().items()}

    def read(self, limit: int, timeout: float) -> list[Record]:
        """Return up to `limit` records; wait up to `timeout` seconds for them."""
        self._on_poll()
        messages = cast(list[Record], self._consumer.consume(limit, timeout))
        records = [message for message in messages if message.error() is None]
        if len(records) < len(messages):
            messages = [message for message in messages if self._is_record_or_end(message)]
        last = {message.partition(): message for message in messages}
        for partition, message in last.items():
            error = message.error()
            if error is None:
                self.positions[partition] = message.offset() + 1
                self._at_end.discard(partition)
            elif error.code() == KafkaError._PARTITION_EOF:
                self.positions[partition] = message.offset()
                self._at_end.add(partition)
        return records

    def _is_record_or_end(self, message: Record) -> bool:
        """Raise what a consumer error means. One that passes has no place: the client repairs connections by itself."""
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            return True
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            # By retention, or with the topic: the restore finds out which.
            where = f"{self.topic} [{message.partition()}]"
            raise RestoreNeeded(f"{where}: the next record to read is no longer available ({error.str()})")
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED and not self._uses_group:
            return False  # librdkafka looks for the group's coordinator, whether that is needed or not
        meaning = self._kafka.classify(error, f"read topic {self.topic}")
        if not isinstance(meaning, BrokerUnavailable):
            raise meaning
        return False


def committed_offsets(consumer: Consumer, wanted: list[TopicPartition]) -> list[TopicPartition]:
    """Return the group's offsets. One that cannot be told is not one that is missing: its records would count twice.

    To be called where nothing that has been fetched is still wanted.
    """
    try:
        found = consumer.committed(wanted, CALL_TIMEOUT_SECONDS)
    except KafkaException:
        # Without the right to the group it times out: only the consumer's queue tells why.
        polled = consumer.poll(0)
        if polled is not None and (error := polled.error()) and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            raise KafkaException(error) from None
        raise
    for each in found:
        if each.error is not None:
            raise KafkaException(each.error)
    return found


def partitions_of(consumer: Consumer, topic: str) -> list[int]:
    """Return the partitions of a topic, none where it does not exist."""
    found = consumer.list_topics(topic, CALL_TIMEOUT_SECONDS).topics[topic]
    if found.error is not None and found.error.code() not in UNKNOWN_TOPIC_CODES:
        raise KafkaException(found.error)
    return sorted(found.partitions)


def offsets_of(committed: Mapping[int, TopicPartition]) -> dict[int, int]:
    """Return the offset in each partition."""
    return {partition: at.offset for partition, at in committed.items()}


LAST_RECORDS = 100  # offsets of each partition; markers of transactions take some of them
GLANCE_SECONDS = 5.0


def last_records(
    consumer: Consumer, topic: str, partitions: list[int], clock: Callable[[], float] = time.monotonic
) -> list[Record]:
    """Return the last records of each partition, as far as they come in time."""
    consumer.assign([near_end(consumer, TopicPartition(topic, partition)) for partition in partitions])
    found, left, until = list[Record](), set(partitions), clock() + GLANCE_SECONDS
    while left and clock() < until:
        for message in cast(list[Record], consumer.consume(MAX_POLL_RECORDS, POLL_SECONDS)):
            error = message.error()
            if error is None:
                found.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
    return found


def near_end(consumer: Consumer, at: TopicPartition) -> TopicPartition:
    """Return the place of the last records of a partition."""
    low, high = consumer.get_watermark_offsets(at, CALL_TIMEOUT_SECONDS)
    return TopicPartition(at.topic, at.partition, max(low, high - LAST_RECORDS))


def newest_records(source: Source, stop: StopRequest) -> Iterator[dict[bytes | None, Record]]:
    """Read an output to its end, and yield many records at once, by key: of those read together the last.

    A transaction that another program has open there ends what a read_committed reader sees before the topic's own
    end: it is waited for, as half of the labels would be taken for all.
    """
    newest, hold = dict[bytes | None, Record](), OpenTransactions(source)
    while not stop.requested:
        newest.update({message.key(): message for message in source.read(MAX_POLL_RECORDS, POLL_SECONDS)})
        all_read = source.at_end and not hold.hold_back()
        if len(newest) >= LABELS_PER_DECODE or all_read:
            yield newest
            newest.clear()
        if all_read:
            break


class OpenTransactions:
    """Tells whether open transactions hold back records that were there when the end was first reached."""

    def __init__(self, source: Source) -> None:
        self._source, self._ends = source, dict[int, int]()
        self._told_at: float | None = None  # when it is to be said
        self.warning = ""  # what was said

    def hold_back(self) -> bool:
        """Whether some are still held back; said once if it takes long."""
        self._ends = self._ends or self._source.end_offsets()
        held = [(at, end) for at, end in self._ends.items() if self._source.positions[at] < end]
        if held and self._told_at is None:
            self._told_at = time.monotonic() + PATIENCE_SECONDS
        if held and self._told_at is not None and time.monotonic() >= self._told_at:
            self._told_at = math.inf
            partition, end = held[0]
            self.warning = (
                f"{self._source.topic} [{partition}] at offset {self._source.positions[partition]}: an open transaction"
                f" of another program blocks the records after it, up to offset {end}; waiting until that program or"
                " the broker ends it"
            )
            log.warning(self.warning)
        return bool(held)
