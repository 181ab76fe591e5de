"""Topics as the group's consumer reads them: partitions, offsets, committed records."""

from collections.abc import Callable, Mapping
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from classifier.errors import MISSING, BrokerUnavailable, RestoreNeeded
from classifier.kafka import CALL_TIMEOUT_SECONDS, Kafka
from classifier.records import Record

CHUNK = 2_000  # records taken at once at most; as many stay in a processor's cache until all is done with them


class Topic:
    """One topic as the group's consumer sees it; every call is repeated through an outage."""

    def __init__(self, kafka: Kafka, consumer: Consumer, name: str, *, grouped: bool = True) -> None:
        """Not `grouped`: as for `Source`."""
        self.name, self._kafka, self._consumer, self._grouped = name, kafka, consumer, grouped

    def partitions(self, doing: str = "read") -> list[int]:
        """Return the partitions, none where the topic does not exist."""
        return self._kafka.call(f"{doing} topic {self.name}", lambda: partitions_of(self._consumer, self.name))

    def committed(self, group: str) -> dict[int, TopicPartition]:
        """Return the group's offset in each partition, with the metadata beside it."""
        wanted = [TopicPartition(self.name, partition) for partition in self.partitions()]
        doing = f"read the offsets of group {group}"
        found = self._kafka.call(doing, lambda: committed_offsets(self._consumer, wanted))
        return {each.partition: each for each in found}

    def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first and the next offset of a partition."""
        at, watermarks = TopicPartition(self.name, partition), self._consumer.get_watermark_offsets
        return self._kafka.call(f"read topic {self.name}", lambda: watermarks(at, CALL_TIMEOUT_SECONDS))

    def read_from(self, offsets: Mapping[int, int], polled: Callable[[], object] = lambda: None) -> "Source":
        """Read these partitions, each from its offset on; `polled` is told of each poll."""
        return Source(self._kafka, self._consumer, self.name, offsets, polled, grouped=self._grouped)


class Source:
    """Every partition of one topic, from given offsets on, committed records only."""

    def __init__(
        self,
        kafka: Kafka,
        consumer: Consumer,
        topic: str,
        offsets: Mapping[int, int],
        polled: Callable[[], object] = lambda: None,
        *,
        grouped: bool = True,
    ) -> None:
        """`polled` is told of each poll. Not `grouped`: no offsets of the group are asked for, and no right to it."""
        self._polled, self._grouped = polled, grouped
        self.topic, self._kafka, self._consumer, self._partitions = topic, kafka, consumer, set(offsets)
        # partition -> offset of the next record; complete from the start, so that every commit covers them all
        self.positions = {partition: at for partition, at in offsets.items() if at >= 0}
        self._at_end: set[int] = set()
        consumer.assign([TopicPartition(topic, partition, at) for partition, at in offsets.items()])

    @property
    def at_end(self) -> bool:
        """Whether every partition has been read to its end."""
        return self._at_end == self._partitions

    def ends(self) -> dict[int, int]:
        """Return where each partition ends, uncommitted records included, as far as the client has heard."""
        return {
            partition: self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), cached=True)[1]
            for partition in self.positions
        }

    def lag(self) -> dict[int, int]:
        """Return how many records each partition is behind, as far as the client has heard."""
        return {partition: max(0, end - self.positions[partition]) for partition, end in self.ends().items()}

    def read(self, limit: int, timeout: float) -> list[Record]:
        """Return up to `limit` records; wait up to `timeout` seconds for them."""
        self._polled()
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
            raise RestoreNeeded(f"{where}: the record to read next is not there any more ({error.str()})")
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED and not self._grouped:
            return False  # librdkafka looks for the group's coordinator, whether that is needed or not
        meaning = self._kafka.meaning(error, f"read topic {self.topic}")
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
    if found.error is not None and found.error.code() not in MISSING:
        raise KafkaException(found.error)
    return sorted(found.partitions)


def offsets_of(committed: Mapping[int, TopicPartition]) -> dict[int, int]:
    """Return the offset in each partition."""
    return {partition: at.offset for partition, at in committed.items()}
