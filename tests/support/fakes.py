"""Kafka in memory, as far as the client uses it: topics, the offsets of one group, transactions."""

import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_INVALID, TIMESTAMP_CREATE_TIME, KafkaError, KafkaException, TopicPartition

from classifier.errors import SchemaMissing
from tests.support.wire import Headers

NO_ID = 22 * "A"  # the id of a topic for a broker that does not report ids


class FakeMessage:
    """A consumed record, or the end of a partition."""

    def __init__(
        self, position: tuple[str, int, int], value: bytes | None = None, headers: Headers | None = None,
        key: bytes | None = None, error: KafkaError | None = None, timestamp: int = 0, leader_epoch: int | None = 0,
    ) -> None:  # fmt: skip
        self._position = position
        self._value = value
        self._headers = headers
        self._key = key
        self._error = error
        self._timestamp = timestamp
        self._leader_epoch = leader_epoch

    def topic(self) -> str:
        """See confluent_kafka.Message; so for the other methods."""
        return self._position[0]

    def partition(self) -> int:
        """The number of the partition."""
        return self._position[1]

    def offset(self) -> int:
        """The offset."""
        return self._position[2]

    def leader_epoch(self) -> int | None:
        """The epoch of the leader that took the record."""
        return self._leader_epoch

    def timestamp(self) -> tuple[int, int]:
        """Kind and milliseconds."""
        return TIMESTAMP_CREATE_TIME, self._timestamp

    def key(self) -> bytes | None:
        """The key."""
        return self._key

    def value(self) -> bytes | None:
        """The value."""
        return self._value

    def headers(self) -> Headers | None:
        """The headers, None without any."""
        return self._headers or None

    def error(self) -> KafkaError | None:
        """None for a record."""
        return self._error


def end_of(topic: str, partition: int, offset: int) -> FakeMessage:
    """The event at the end of a partition."""
    return FakeMessage((topic, partition, offset), error=KafkaError(KafkaError._PARTITION_EOF))


def failure(code: int, fatal: bool = False, retriable: bool = False, abort: bool = False) -> KafkaException:
    """An error as calls of the Kafka client raise it."""
    return KafkaException(KafkaError(code, "made up", fatal, retriable, abort))


class FakeBroker:
    """Topics, and the offsets of one group."""

    def __init__(self, **partitions: int) -> None:
        self.logs: dict[str, list[list[FakeMessage]]] = {name: [[] for _ in range(n)] for name, n in partitions.items()}
        self.offsets: dict[tuple[str, int], TopicPartition] = {}
        self.history: list[TopicPartition] = []
        self.beginnings: dict[tuple[str, int], int] = {}  # first offsets, after retention
        self.ids = dict.fromkeys(partitions, NO_ID)
        self.leader_epoch = 0

    def append(
        self, topic: str, partition: int, value: bytes | None, headers: Headers, key: bytes | None, timestamp: int = 0
    ) -> None:
        """Write one record."""
        log = self.logs[topic][partition]
        position = topic, partition, len(log)
        log.append(FakeMessage(position, value, headers, key, None, timestamp, self.leader_epoch))

    def commit(self, offsets: Iterable[TopicPartition]) -> None:
        """Set offsets of the group."""
        for each in offsets:
            self.history.append(each)
            self.offsets[each.topic, each.partition] = each


class FakeAdmin:
    """Describes topics."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker

    def poll(self, timeout: float) -> int:
        """No callbacks."""
        return 0

    def describe_topics(self, topics: Any, request_timeout: float) -> dict[str, Future[Any]]:
        """Ids and partitions, or the error of an unknown topic."""
        return {name: self._described(name) for name in topics.topic_names}

    def list_offsets(
        self, wanted: dict[TopicPartition, Any], isolation_level: Any, request_timeout: float
    ) -> dict[TopicPartition, Future[Any]]:
        """The end offset of each partition; transactions are never open here."""
        answers: dict[TopicPartition, Future[Any]] = {}
        for at in wanted:
            answers[at] = Future()
            answers[at].set_result(SimpleNamespace(offset=len(self._broker.logs[at.topic][at.partition])))
        return answers

    def _described(self, name: str) -> Future[Any]:
        future: Future[Any] = Future()
        if name in self._broker.logs:
            future.set_result(SimpleNamespace(topic_id=self._broker.ids[name], partitions=self._broker.logs[name]))
        else:
            future.set_exception(failure(KafkaError.UNKNOWN_TOPIC_OR_PART))
        return future


class _Topic(NamedTuple):
    partitions: dict[int, None]
    error: KafkaError | None = None


class _Metadata(NamedTuple):
    topics: dict[str, _Topic]


class FakeConsumer:
    """Reads assigned partitions in random order, a few records at a time."""

    def __init__(self, broker: FakeBroker, seed: int, most: int = 7) -> None:
        self.broker = broker
        self._rng = random.Random(seed)
        self._most = most
        self._positions: dict[tuple[str, int], int] = {}
        self._reported: dict[tuple[str, int], int] = {}  # offset of the last end that was reported
        self.closed = False

    def list_topics(self, topic: str, timeout: float) -> _Metadata:
        """The partitions of a topic."""
        partitions = dict.fromkeys(range(len(self.broker.logs.get(topic, ()))))
        return _Metadata({topic: _Topic(partitions)})

    def assign(self, places: Sequence[TopicPartition]) -> None:
        """Read only these."""
        self._reported.clear()
        self._positions = {(at.topic, at.partition): max(at.offset, 0) for at in places}

    def unassign(self) -> None:
        """Read nothing."""
        self.assign([])

    def committed(self, places: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        """The offsets of the group."""
        known = self.broker.offsets
        return [
            known.get((at.topic, at.partition), TopicPartition(at.topic, at.partition, OFFSET_INVALID)) for at in places
        ]

    def get_watermark_offsets(
        self, at: TopicPartition, timeout: float | None = None, cached: bool = False
    ) -> tuple[int, int]:
        """First and next offset."""
        partition = at.topic, at.partition
        return self.broker.beginnings.get(partition, 0), len(self.broker.logs[at.topic][at.partition])

    def consumer_group_metadata(self) -> None:
        """Not used."""

    def consume(self, limit: int, timeout: float) -> list[FakeMessage]:
        """Some records of one partition, or its end."""
        logs = self.broker.logs
        unread = [each for each in self._positions if self._reported.get(each) != len(logs[each[0]][each[1]])]
        if not unread:
            return []
        topic, partition = chosen = self._rng.choice(unread)
        start = self._positions[chosen]
        taken = logs[topic][partition][start : start + min(limit, self._rng.randint(1, self._most))]
        self._positions[chosen] += len(taken)
        if not taken:
            self._reported[chosen] = start
            return [end_of(topic, partition, start)]
        return list(taken)

    def close(self) -> None:
        """Record the call."""
        self.closed = True


Accident = Callable[[], None]


class FakeProducer:
    """Writes transactions; an accident may happen before each call of a method."""

    def __init__(self, broker: FakeBroker, accidents: dict[str, list[Accident | None]] | None = None) -> None:
        self._broker = broker
        self._accidents = accidents or {}
        self._records: list[tuple[str, int, bytes | None, Headers, bytes | None]] = []
        self._offsets: list[TopicPartition] = []
        self.calls: list[str] = []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        queue = self._accidents.get(name)
        accident = queue.pop(0) if queue else None
        if accident is not None:
            accident()

    def init_transactions(self, timeout: float) -> None:
        """Record the call."""
        self._called("init_transactions")

    def begin_transaction(self) -> None:
        """Begin an empty transaction."""
        self._called("begin_transaction")
        self._records = []
        self._offsets = []

    def produce(self, topic: str, value: bytes | None, key: bytes | None, *, headers: Any = None) -> None:
        """Keep a record until the commit."""
        self._called("produce")
        self._records.append((topic, 0, value, headers or [], key))

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], group: None, timeout: float) -> None:
        """Keep offsets until the commit."""
        self._called("send_offsets_to_transaction")
        self._offsets = offsets

    def commit_transaction(self, timeout: float) -> None:
        """Write the records and commit the offsets."""
        self._called("commit_transaction")
        for record in self._records:
            self._broker.append(*record)
        self._broker.commit(self._offsets)

    def abort_transaction(self, timeout: float) -> None:
        """Write nothing."""
        self._called("abort_transaction")

    def __len__(self) -> int:
        return 0

    def flush(self, timeout: float) -> int:
        """Return the number of undelivered records."""
        return 0

    def poll(self, timeout: float) -> int:
        """Return the number of events."""
        return 0


class FakeRegistry:
    """Schemas in memory, parsed as by the client's registry."""

    def __init__(self, subject: Callable[[int, Any], Any], parse: Callable[[Any], Any], **subjects: Any) -> None:
        self._subject = subject
        self._parse = parse
        self._schemas: list[Any] = []
        self._by_name: dict[str, Any] = {}
        self._deleted: set[int] = set()
        for name, schema in subjects.items():
            self.register(name.replace("__", "-"), schema)

    def register(self, subject: str, schema: Any) -> Any:
        """Register a schema under the next id, from 1."""
        self._schemas.append(self._parse(schema))
        self._by_name[subject] = self._subject(len(self._schemas), self._schemas[-1])
        return self._by_name[subject]

    def newest(self, subject: str) -> Any:
        """The schema of a subject, or None."""
        return self._by_name.get(subject)

    def by_id(self, schema_id: int) -> Any:
        """The schema of a known id."""
        if schema_id in self._deleted:
            raise SchemaMissing(f"schema id {schema_id} is not in the Schema Registry")
        return self._schemas[schema_id - 1]

    def delete_permanently(self, subject: str) -> None:
        """Delete a subject with the id of its newest schema."""
        self._deleted.add(self._by_name.pop(subject).schema_id)

    def close(self) -> None:
        """Nothing is open."""
