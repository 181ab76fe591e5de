"""Reading a topic: all of its partitions, from given offsets on, committed records only.

`Source` is the running read. `newest_records` reads an output to its end, `last_records` reads the last few records
of a topic.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

from classifier.errors import UNKNOWN_TOPIC_CODES, BrokerUnavailable, RestoreNeeded
from classifier.kafka.client import CALL_TIMEOUT_SECONDS, POLL_SECONDS, Kafka
from classifier.kafka.ends import EndOffsets
from classifier.kafka.record import LogPoint, Record, log_point
from classifier.stop import StopRequest

log = logging.getLogger("user_classifier")

MAX_POLL_RECORDS = 2_000  # records of one poll; few enough to stay in a processor's cache until they are processed
LABELS_PER_DECODE = 20_000  # keys to collect before their newest records are decoded; older records never are
STALLED_SECONDS = 10.0  # of polls without a record from a partition that has some, until it is logged
OPEN_TRANSACTION_SECONDS = 2.0  # an open transaction is reported after this; those of an older instance end earlier
LAST_OFFSETS = 100  # of each partition, for `last_records`; transaction markers take some of them
NO_ANSWER = "failed to query logical offset"  # in an _AUTO_OFFSET_RESET that does not come from retention
LAST_RECORDS_SECONDS = 5.0  # time limit of `last_records`
TOMBSTONE_MS = "86400000"  # default of delete.retention.ms: one day


class Topic:
    """A topic as seen by the group's consumer. Each call is retried through an outage."""

    def __init__(self, kafka: Kafka, consumer: Consumer, name: str, *, uses_group: bool = True) -> None:
        """`uses_group`: see `Source`."""
        self.name = name
        self._kafka = kafka
        self._consumer = consumer
        self._uses_group = uses_group

    def partitions(self, operation: str = "read") -> list[int]:
        """Return the partitions; none if the topic does not exist. `operation` is for the message of a refusal."""
        return self._kafka.call(f"{operation} topic {self.name}", lambda: partitions_of(self._consumer, self.name))

    def committed(self, group: str) -> dict[int, TopicPartition]:
        """Return the group's committed offset in each partition, with its metadata."""
        wanted = [TopicPartition(self.name, partition) for partition in self.partitions()]
        action = f"read the offsets of group {group}"
        found = self._kafka.call(action, lambda: self._committed(wanted, group))
        return {each.partition: each for each in found}

    def _committed(self, wanted: list[TopicPartition], group: str) -> list[TopicPartition]:
        """Return the committed offsets; raise KafkaException with the reason, also where librdkafka times out on it."""
        try:
            return committed_offsets(self._consumer, wanted)
        except KafkaException as exception:
            if exception.args[0].code() == KafkaError._TIMED_OUT:
                check_stable(self._kafka.admin("consumer"), wanted, group)
            raise

    def watermarks(self, partition: int) -> tuple[int, int]:
        """Return the first offset of a partition, and the one after its last record."""
        at = TopicPartition(self.name, partition)
        get_watermarks = self._consumer.get_watermark_offsets
        return self._kafka.call(f"read topic {self.name}", lambda: get_watermarks(at, CALL_TIMEOUT_SECONDS))

    def first_offsets(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offset of the first record in each partition."""
        return {partition: self.watermarks(partition)[0] for partition in partitions}

    def available(self, offsets: Mapping[int, int]) -> dict[int, int]:
        """Return the offset in each partition, or that of its first record where the one at the offset was deleted."""
        first = self.first_offsets(offsets)
        return {partition: max(at, first[partition]) for partition, at in offsets.items()}

    def is_compacted(self) -> bool:
        """Return whether compaction may remove records; True without the permission to read the configuration."""
        policy = self.cleanup_policy()
        return policy is None or "compact" in policy

    def cleanup_policy(self) -> str | None:
        """Return cleanup.policy; None without the permission to read the configuration."""
        return self._kafka.cleanup_policy(self.name)

    def tombstone_seconds(self) -> float:
        """Return how long compaction keeps a tombstone, infinite where nothing is compacted.

        Without the permission to read the configuration, the topic is assumed to be compacted, with Kafka's default.
        """
        config = self._kafka.topic_config(self.name)
        if "compact" not in config.get("cleanup.policy", "compact"):
            return math.inf
        return int(config.get("delete.retention.ms", TOMBSTONE_MS)) / 1000

    def read_from(self, offsets: Mapping[int, int], on_poll: Callable[[], object] = lambda: None) -> "Source":
        """Return a source that reads each partition from its offset on, and calls `on_poll` before each poll."""
        return Source(self._kafka, self._consumer, self.name, offsets, on_poll, uses_group=self._uses_group)


class Source:
    """Reads every partition of one topic from given offsets on, committed records only."""

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
        """Assign the partitions to the consumer.

        Parameters
        ----------
        offsets : where to start in each partition; negative values as in librdkafka (OFFSET_BEGINNING).
        on_poll : called before each poll.
        uses_group : whether the group's permission is needed. A source that needs no offsets of the group ignores
            that it may not read them.
        """
        self.topic = topic
        # Offset of the next record by partition. Complete from the start, so that every commit covers all partitions.
        self.positions = {partition: at for partition, at in offsets.items() if at >= 0}
        self.last_read: dict[int, LogPoint] = {}  # the last record of each partition
        self.kafka = kafka
        self._consumer = consumer
        self._on_poll = on_poll
        self._uses_group = uses_group
        self._partitions = set(offsets)
        self._at_end: set[int] = set()  # partitions
        self._leader_ends: dict[int, int] = {}  # end offsets as of the last `take_ends`
        self._polled_seconds = 0.0  # spent in polls
        self._behind_since: dict[int, tuple[int, float]] = {}  # position and polled seconds, of partitions behind these
        self._stalled: set[int] = set()  # those of them that were logged
        kafka.outage.note_sound(f"records of {topic}")  # of the source before
        consumer.assign([TopicPartition(topic, partition, at) for partition, at in offsets.items()])

    @property
    def at_end(self) -> bool:
        """Whether every partition has been read to its end."""
        return self._at_end == self._partitions

    def end_offsets(self) -> dict[int, int]:
        """Return the end of each partition as last reported by the brokers, uncommitted records included."""
        return {
            partition: self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), cached=True)[1]
            for partition in self.positions
        }

    def request_ends(self, *, committed: bool = True, quiet: bool = False) -> EndOffsets:
        """Ask the leaders where the partitions end now; see `EndOffsets`."""
        return EndOffsets(self.kafka, self.topic, self._partitions, committed=committed, quiet=quiet)

    def behind(self, ends: Mapping[int, int]) -> set[int]:
        """Return the partitions with records before these end offsets that are still to be read."""
        return {partition for partition, end in ends.items() if self.positions.get(partition, 0) < end}

    def take_ends(self, ends: Mapping[int, int]) -> bool:
        """Take the leaders' end offsets of committed records; return whether all records before them have been read.

        A partition that is behind is not at its end, whatever its last fetch reported.
        """
        behind = self.behind(ends)
        self._at_end -= behind
        self._leader_ends.update(ends)
        self._log_stalled(behind)
        return not behind

    def _log_stalled(self, behind: set[int]) -> None:
        """Log each partition with records that long polls did not return, and when it has been read to its end."""
        now = self._polled_seconds
        before = self._behind_since
        self._behind_since = {}
        for partition in sorted(behind):
            position = self.positions.get(partition, 0)
            position_before, since = before.get(partition, (position, now))
            if position_before != position:
                since = now
            self._behind_since[partition] = (position, since)
            if now - since >= STALLED_SECONDS and partition not in self._stalled:
                self._stalled.add(partition)
                self.kafka.outage.note_silence(f"records of {self.topic}", time.monotonic() - (now - since))
                log.warning(
                    "%s [%d] at offset %d: there are records up to offset %d, but its leader has sent none for %.0f s",
                    self.topic,
                    partition,
                    position,
                    self._leader_ends[partition],
                    now - since,
                )
        for partition in sorted(self._stalled - behind):
            log.warning("%s [%d]: read to its end again", self.topic, partition)
        self._stalled &= behind
        if not self._stalled:
            self.kafka.outage.note_sound(f"records of {self.topic}")

    def lag(self) -> dict[int, int]:
        """Return the number of records still to be read in each partition, as last reported by the brokers."""
        fetched_ends = self.end_offsets()  # of the last fetch, which is old while a broker hangs
        leader_ends = self._leader_ends
        return {
            partition: max(0, fetched_ends[partition] - position, leader_ends.get(partition, 0) - position)
            for partition, position in self.positions.items()
        }

    def read(self, limit: int, timeout: float) -> list[Record]:
        """Return up to `limit` records; wait up to `timeout` seconds for them."""
        self._on_poll()
        self.kafka.check_refusals()
        began = time.monotonic()
        messages = cast(list[Record], self._consumer.consume(limit, timeout))
        self._polled_seconds += min(time.monotonic() - began, timeout)
        records = [message for message in messages if message.error() is None]
        last = {message.partition(): message for message in records}
        self.last_read.update((partition, log_point(message)) for partition, message in last.items())
        if len(records) < len(messages):
            last = {message.partition(): message for message in messages if self._is_record_or_end(message)}
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
        """Return False for an error that passes: the consumer reconnects by itself. Raise other errors classified."""
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            return True
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            # Deleted by retention or with the topic: the restore finds out which.
            where = f"{self.topic} [{message.partition()}]"
            if NO_ANSWER in error.str():
                advice = self.kafka.advice(error, f"read topic {self.topic}").text or "its leader does not answer"
                raise RestoreNeeded(f"{where}: no first offset ({error.str()}); {advice}")
            raise RestoreNeeded(f"{where}: the next record to read is no longer available ({error.str()})")
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED and not self._uses_group:
            return False  # librdkafka asks for the group's coordinator even if nothing needs it
        classified = self.kafka.classify(error, f"read topic {self.topic}")
        if not isinstance(classified, BrokerUnavailable):
            raise classified
        return False


def newest_records(
    source: Source, stop: StopRequest, open_transactions: "OpenTransactions | None" = None
) -> Iterator[dict[bytes | None, Record]]:
    """Read an output to its end; yield its records in parts, the newest record of each key in that part.

    An open transaction of another program ends what a read_committed consumer sees before the end of the topic. It is
    waited for: otherwise a part of the labels would pass for all of them. So is a leader that is slow or hangs. A
    caller that shows the warning passes `open_transactions`.
    """
    newest: dict[bytes | None, Record] = {}
    if open_transactions is None:
        open_transactions = OpenTransactions(source)
    while not stop.requested:
        newest.update({message.key(): message for message in source.read(MAX_POLL_RECORDS, POLL_SECONDS)})
        all_read = source.at_end and not open_transactions.block_records()
        if len(newest) >= LABELS_PER_DECODE or all_read:
            yield newest
            newest.clear()
        if all_read:
            break


class OpenTransactions:
    """Whether records are still to be read that were in a topic when its readable end was first reached.

    An open transaction blocks them, or the leader of their partition is slow or hangs.
    """

    def __init__(self, source: Source) -> None:
        self.warning = ""  # log line about the open transaction
        self._source = source
        self._all: EndOffsets | None = None  # open transactions included; requested at the readable end
        self._committed: EndOffsets | None = None  # requested once it takes long, to tell the two causes apart
        self._warn_at = math.inf

    def block_records(self) -> bool:
        """Return whether some records are still to be read; log it once if an open transaction takes long."""
        if self._all is None:
            self._all = self._source.request_ends(committed=False)
            self._warn_at = time.monotonic() + OPEN_TRANSACTION_SECONDS
        ends = self._all.wait()
        if ends is None:
            return True
        blocked = self._source.behind(ends)
        if blocked and time.monotonic() >= self._warn_at:
            self._warn(min(blocked), ends)
        return bool(blocked)

    def _warn(self, partition: int, ends: Mapping[int, int]) -> None:
        """Log the open transaction, unless the partition has committed records to read: then its leader is slow."""
        if self._committed is None:
            self._committed = self._source.request_ends()
        committed = self._committed.wait()
        if committed is None:
            return
        self._committed = None
        self._warn_at = time.monotonic() + OPEN_TRANSACTION_SECONDS
        self._source.take_ends(committed)
        position = self._source.positions[partition]
        if position < committed[partition]:
            return
        self._warn_at = math.inf
        self.warning = (
            f"{self._source.topic} [{partition}] at offset {position}: an open transaction of another program blocks"
            f" the records after it, up to offset {ends[partition]}; waiting until that program or the broker ends it"
        )
        log.warning(self.warning)


def last_records(
    consumer: Consumer,
    topic: str,
    partitions: list[int],
    clock: Callable[[], float] = time.monotonic,
    n_offsets: int | None = LAST_OFFSETS,
) -> Iterator[Record]:
    """Yield records from the last `n_offsets` of each partition (None: all), those that arrive in the time limit."""
    starts = []
    for partition in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), CALL_TIMEOUT_SECONDS)
        start = low if n_offsets is None else max(low, high - n_offsets)
        starts.append(TopicPartition(topic, partition, start))
    consumer.assign(starts)
    unread = set(partitions)
    until = clock() + LAST_RECORDS_SECONDS
    while unread and clock() < until:
        for message in cast(list[Record], consumer.consume(MAX_POLL_RECORDS, POLL_SECONDS)):
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard(message.partition())


def committed_offsets(consumer: Consumer, wanted: list[TopicPartition]) -> list[TopicPartition]:
    """Return the group's committed offsets; raise KafkaException if one cannot be read.

    An offset that cannot be read must not pass for a missing one: its records would be read twice. Call this only
    when no fetched record is still wanted, because it may poll the consumer.
    """
    try:
        found = consumer.committed(wanted, CALL_TIMEOUT_SECONDS)
    except KafkaException:
        # Without the permission to read the group the call times out, and only the consumer's queue has the reason.
        polled = consumer.poll(0)
        if polled is not None and (error := polled.error()) and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            raise KafkaException(error) from None
        raise
    for each in found:
        if each.error is not None:
            raise KafkaException(each.error)
    return found


def check_stable(admin: Any, wanted: list[TopicPartition], group: str) -> None:
    """Raise KafkaException if an open transaction holds offsets of the group."""
    request = [ConsumerGroupTopicPartitions(group, wanted)]
    try:
        answers = admin.list_consumer_group_offsets(request, require_stable=True, request_timeout=CALL_TIMEOUT_SECONDS)
        found = answers[group].result().topic_partitions
    except KafkaException:  # the caller has an error already
        return
    for each in found:
        if each.error is not None and each.error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT:
            raise KafkaException(each.error)


def partitions_of(consumer: Consumer, topic: str) -> list[int]:
    """Return the partitions of a topic; none if it does not exist."""
    found = consumer.list_topics(topic, CALL_TIMEOUT_SECONDS).topics[topic]
    if found.error is not None and found.error.code() not in UNKNOWN_TOPIC_CODES:
        raise KafkaException(found.error)
    return sorted(found.partitions)


def offsets_of(committed: Mapping[int, TopicPartition]) -> dict[int, int]:
    """Return the offset in each partition."""
    return {partition: at.offset for partition, at in committed.items()}
