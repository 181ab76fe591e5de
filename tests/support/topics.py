"""Topics of a real broker: create, write, read to the end, and offsets of groups."""

import struct
from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]

from tests.support.metadata import all_know, partitions_in
from tests.support.waiting import wait_until
from tests.support.wire import Headers

TIMEOUT_S = 30.0
ANSWER_S = 5.0
"""How long to wait for the offsets of a group: a client from before a restart of the broker may never get an answer."""
COORDINATOR_ERRORS = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}
"""Answers while the coordinator of a group is being elected."""
OPEN_TRANSACTION_S = 4.0
"""How long to wait if only open transactions hold back the rest of all partitions."""


class Record(NamedTuple):
    """One record of a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Outgoing(NamedTuple):
    """One record to write."""

    partition: int
    value: bytes | None
    headers: Headers
    key: bytes | None = None


class Commit(NamedTuple):
    """One committed offset of a group."""

    topic: str
    partition: int
    offset: int
    metadata: str


class Topics:
    """The topics of one broker."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self._admin = self._new_admin()

    def _new_admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})

    def create(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Create a topic with the default number of replicas; returns when every broker knows it."""
        topic = NewTopic(name, num_partitions=partitions, replication_factor=-1, config=dict(config or {}))
        self._admin.create_topics([topic])[name].result(TIMEOUT_S)
        wait_until(lambda: all_know(self._admin, name, partitions), f"every broker to know {name}", TIMEOUT_S)

    def grow(self, name: str, partitions: int) -> None:
        """Give a topic more partitions; returns when every broker knows them."""
        self._admin.create_partitions([NewPartitions(name, partitions)])[name].result(TIMEOUT_S)
        wait_until(lambda: all_know(self._admin, name, partitions), f"every broker to know {name}", TIMEOUT_S)

    def delete(self, name: str) -> None:
        """Delete a topic; returns when no broker knows it."""
        self._admin.delete_topics([name])[name].result(TIMEOUT_S)
        wait_until(lambda: all_know(self._admin, name, 0), f"every broker to forget {name}", TIMEOUT_S)

    def partitions(self, name: str) -> list[int]:
        """The partitions of a topic; KafkaException if it does not exist."""
        return sorted(partitions_in(self._admin.list_topics(name, timeout=TIMEOUT_S), name))

    def topic_id(self, name: str) -> str:
        """The id of a topic."""
        return str(self._admin.describe_topics(TopicCollection([name]))[name].result(TIMEOUT_S).topic_id)

    def copy(self, topic: str, records: Iterable[Record]) -> None:
        """Write records that were read from another topic."""
        self.write(topic, [Outgoing(each.partition, each.value, each.headers, each.key) for each in records])

    def write(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Write records and wait until all are stored."""
        # An idempotent producer would need half a second for its id; failed writes are not retried, but raised.
        producer = Producer(self._producing(**{"acks": "all", "retries": 0}))
        _send(producer, topic, records)

    def write_in_transaction(self, topic: str, records: Iterable[Outgoing], commit: bool) -> None:
        """Write records inside one Kafka transaction, and commit or abort it."""
        producer = Producer(self._producing(**{"transactional.id": f"writer of {topic}"}))
        producer.init_transactions(TIMEOUT_S)
        producer.begin_transaction()
        _send(producer, topic, records)
        if commit:
            producer.commit_transaction(TIMEOUT_S)
        else:
            producer.abort_transaction(TIMEOUT_S)

    def read(self, topic: str, isolation: str = "read_committed") -> list[Record]:
        """Every record up to the end of each partition, in offset order within a partition."""
        settings = {"group.id": "tests", "isolation.level": isolation, "fetch.wait.max.ms": 10}
        ends = {"enable.partition.eof": True, "enable.auto.commit": False}
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, **settings, **ends})
        try:
            return _read_to_end(consumer, topic, self.bounds(topic))
        finally:
            consumer.close()

    def compacted(self, topic: str) -> dict[bytes | None, Record]:
        """The last record of each key; one whose value is None is a tombstone."""
        return {record.key: record for record in self.read(topic)}

    def wait_for_coordinator(self) -> None:
        """Wait until a new broker can serve offsets of groups; the first request creates their topic."""
        # A consumer retries; the admin client fails immediately.
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": "nobody"})
        try:
            wait_until(lambda: _knows_offsets(consumer), "the broker to know offsets of groups", TIMEOUT_S)
        finally:
            consumer.close()

    def committed(
        self, group: str, isolation: str = "read_committed", topic: str | None = None
    ) -> dict[tuple[str, int], Commit]:
        """The offsets of a group by topic and partition, of one topic or of all, once no transaction on them is open.

        A commit is acknowledged before its offsets are in force, and an open transaction holds them back until it times
        out; with read_uncommitted this does not wait, and returns the offsets before the transaction.
        """
        topics = self._admin.list_topics(topic, timeout=TIMEOUT_S).topics.items()
        partitions = [TopicPartition(name, at) for name, found in topics if name[:2] != "__" for at in found.partitions]
        stable = isolation == "read_committed"
        read = partial(self._offsets, ConsumerGroupTopicPartitions(group, partitions), stable)
        committed = [] if not partitions else wait_until(read, f"the offsets of {group}", TIMEOUT_S)
        return {
            (at.topic, at.partition): Commit(at.topic, at.partition, at.offset, at.metadata or "")
            for at in committed
            if at.offset >= 0
        }

    def _offsets(self, request: ConsumerGroupTopicPartitions, stable: bool) -> list[TopicPartition]:
        """The offsets, or nothing if the request has to be repeated."""
        options = {"require_stable": stable, "request_timeout": ANSWER_S}
        try:
            answer = self._admin.list_consumer_group_offsets([request], **options)[request.group_id].result()
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError._TIMED_OUT:
                self._admin = self._new_admin()
            elif code not in COORDINATOR_ERRORS:
                raise
            return []
        errors = [at.error for at in answer.topic_partitions if at.error is not None]
        if any(error.code() != KafkaError.UNSTABLE_OFFSET_COMMIT for error in errors):
            raise KafkaException(errors[0])
        return [] if errors else list(answer.topic_partitions)

    def ends(self, topic: str) -> dict[int, int]:
        """Partition -> offset of the next record."""
        return {partition: end for partition, (_, end) in self.bounds(topic).items()}

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Partition -> first offset, and offset of the next record, open transactions included."""
        # A read_committed consumer would get the last stable offset.
        settings = {"group.id": "tests", "isolation.level": "read_uncommitted"}
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, **settings})
        try:
            places = [TopicPartition(topic, partition) for partition in self.partitions(topic)]
            return {place.partition: consumer.get_watermark_offsets(place, TIMEOUT_S) for place in places}
        finally:
            consumer.close()

    def commit_history(self, group: str) -> list[Commit]:
        """Every offset that the group has committed, oldest first; without aborted transactions."""
        self.committed(group)  # waits until they are in force
        commits = [_offset_commit(record) for record in self.read("__consumer_offsets")]
        return [commit for named, commit in filter(None, commits) if named == group]

    def commit(self, group: str, topic: str, offsets: Mapping[int, int], metadata: str = "") -> None:
        """Set offsets of a group, as the Kafka tools do."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": group})
        places = [TopicPartition(topic, partition, offset, metadata) for partition, offset in offsets.items()]
        try:
            wait_until(lambda: _knows_offsets(consumer), "the broker to know offsets of groups", TIMEOUT_S)
            consumer.commit(offsets=places, asynchronous=False)
        finally:
            consumer.close()

    def _producing(self, **settings: object) -> dict[str, object]:
        return {"bootstrap.servers": self.bootstrap_servers, "linger.ms": 5, **settings}


def _knows_offsets(consumer: Consumer) -> bool:
    try:
        consumer.committed([TopicPartition("nothing", 0)], TIMEOUT_S)
    except KafkaException as error:
        if error.args[0].code() in COORDINATOR_ERRORS:
            return False
        raise
    return True


def _send(producer: Producer, topic: str, records: Iterable[Outgoing]) -> None:
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    for partition, value, headers, key in records:
        producer.produce(topic, value, key, partition, delivered, headers=headers)
    left = producer.flush(TIMEOUT_S)
    if failures or left:
        raise RuntimeError(f"{topic}: {left} records not sent, {len(failures)} failed: {failures[:1]}")


def _read_to_end(consumer: Consumer, topic: str, bounds: dict[int, tuple[int, int]]) -> list[Record]:
    # From the first offset as a number; OFFSET_BEGINNING costs half a second.
    consumer.assign([TopicPartition(topic, at, low) for at, (low, _) in bounds.items()])
    not_ended = set(bounds)
    behind = set[int]()
    records: list[Record] = []
    while not_ended:
        # A commit is acknowledged before its records can be read: a read_committed reader may first see an earlier end.
        message = consumer.poll(OPEN_TRANSACTION_S if behind >= not_ended else TIMEOUT_S)
        if message is None and behind >= not_ended:
            return _in_order(records)  # a transaction is open: the records after its beginning cannot be read yet
        if message is None:
            raise TimeoutError(f"{topic}: its end was not reached, no record for {TIMEOUT_S} s")
        error = message.error()
        if error is None:
            records.append(_record(message))
        elif error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        elif int(message.offset() or 0) >= bounds[int(message.partition() or 0)][1]:
            not_ended.discard(int(message.partition() or 0))
        else:
            behind.add(int(message.partition() or 0))
    return _in_order(records)


def _in_order(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.partition, record.offset))


def _record(message: Message) -> Record:
    partition = message.partition()
    offset = message.offset()
    if partition is None or offset is None:
        raise ValueError("a record without a position")
    headers = message.headers() or []
    if isinstance(headers, dict):  # the stubs allow a dict; librdkafka returns a list
        headers = list(headers.items())
    return Record(partition, offset, message.key(), message.value(), headers)


def _offset_commit(record: Record) -> tuple[str, Commit] | None:
    """A record of `__consumer_offsets`; None if it is no offset (metadata of a group, or a tombstone)."""
    if record.key is None or record.value is None or struct.unpack_from(">h", record.key)[0] > 1:
        return None
    group, after = _text(record.key, 2)
    topic, after = _text(record.key, after)
    (partition,) = struct.unpack_from(">i", record.key, after)
    version, offset = struct.unpack_from(">hq", record.value)
    if version != 4:
        raise ValueError(f"__consumer_offsets holds a value of version {version}; this reader knows 4")
    # From version 4 on, a text is preceded by its length plus one as a varint.
    length, begin = _varint(record.value, 14)
    # confluent-kafka also commits the zero byte that ends a text in C.
    metadata = record.value[begin : begin + length - 1].decode().rstrip("\0")
    return group, Commit(topic, partition, offset, metadata)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        at = at + 1
        shift = shift + 7
        if data[at - 1] < 0x80:
            return number, at


def _text(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">h", data, at)
    return data[at + 2 : at + 2 + length].decode(), at + 2 + length
