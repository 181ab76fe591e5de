"""Kafka in memory, as far as the client uses it: topics, one group's offsets, transactions that commit or do not."""

import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_INVALID, TIMESTAMP_CREATE_TIME, KafkaError, KafkaException, TopicPartition

from tests.support.wire import Headers

NO_ID = 22 * "A"  # as a broker writes an id that it does not know


class FakeMessage:
    """A consumed record, or the news that a partition is at its end."""

    def __init__(
        self, place: tuple[str, int, int], value: bytes | None = None, headers: Headers | None = None,
        key: bytes | None = None, error: KafkaError | None = None, timestamp: int = 0,
    ) -> None:  # fmt: skip
        self._place, self._value, self._headers, self._key, self._error = place, value, headers, key, error
        self._timestamp = timestamp

    def topic(self) -> str:
        """See confluent_kafka.Message, as for the rest."""
        return self._place[0]

    def partition(self) -> int:
        """Its number."""
        return self._place[1]

    def offset(self) -> int:
        """Where it lies."""
        return self._place[2]

    def timestamp(self) -> tuple[int, int]:
        """Its kind and milliseconds."""
        return TIMESTAMP_CREATE_TIME, self._timestamp

    def key(self) -> bytes | None:
        """Its key."""
        return self._key

    def value(self) -> bytes | None:
        """Its value."""
        return self._value

    def headers(self) -> Headers | None:
        """Its headers; None where there are none."""
        return self._headers or None

    def error(self) -> KafkaError | None:
        """None for a record."""
        return self._error


def end_of(topic: str, partition: int, offset: int) -> FakeMessage:
    """The news that a partition has been read to its end."""
    return FakeMessage((topic, partition, offset), error=KafkaError(KafkaError._PARTITION_EOF))


def failure(code: int, fatal: bool = False, retriable: bool = False, abort: bool = False) -> KafkaException:
    """What a call of the Kafka client raises."""
    return KafkaException(KafkaError(code, "made up", fatal, retriable, abort))


class FakeBroker:
    """Topics and the offsets of the one group."""

    def __init__(self, **partitions: int) -> None:
        self.logs: dict[str, list[list[FakeMessage]]] = {name: [[] for _ in range(n)] for name, n in partitions.items()}
        self.offsets: dict[tuple[str, int], TopicPartition] = {}
        self.history: list[TopicPartition] = []
        self.beginnings: dict[tuple[str, int], int] = {}  # what retention has left
        self.ids = dict.fromkeys(partitions, NO_ID)  # of a broker that tells none

    def append(
        self, topic: str, partition: int, value: bytes | None, headers: Headers, key: bytes | None, timestamp: int = 0
    ) -> None:
        """Write one record."""
        log = self.logs[topic][partition]
        log.append(FakeMessage((topic, partition, len(log)), value, headers, key, timestamp=timestamp))

    def commit(self, offsets: Iterable[TopicPartition]) -> None:
        """Set offsets of the group."""
        for each in offsets:
            self.history.append(each)
            self.offsets[each.topic, each.partition] = each


class FakeAdmin:
    """Describes topics."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker

    def describe_topics(self, topics: Any, request_timeout: float) -> dict[str, Future[Any]]:
        """Ids and partitions, or that there is no such topic."""
        return {name: self._described(name) for name in topics.topic_names}

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
    """Reads assigned partitions in an order of its own, a few records at a time."""

    def __init__(self, broker: FakeBroker, seed: int, most: int = 7) -> None:
        self.broker, self._rng, self._most = broker, random.Random(seed), most
        self._positions: dict[tuple[str, int], int] = {}
        self._told: dict[tuple[str, int], int] = {}  # ends, as last told
        self.closed = False

    def list_topics(self, topic: str, timeout: float) -> _Metadata:
        """The partitions of a topic."""
        partitions = dict.fromkeys(range(len(self.broker.logs.get(topic, ()))))
        return _Metadata({topic: _Topic(partitions)})

    def assign(self, places: Sequence[TopicPartition]) -> None:
        """Read these and no others."""
        self._told.clear()
        self._positions = {(at.topic, at.partition): max(at.offset, 0) for at in places}

    def unassign(self) -> None:
        """Read nothing."""
        self.assign([])

    def committed(self, places: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        """The group's offsets."""
        known = self.broker.offsets
        return [
            known.get((at.topic, at.partition), TopicPartition(at.topic, at.partition, OFFSET_INVALID)) for at in places
        ]

    def get_watermark_offsets(
        self, at: TopicPartition, timeout: float | None = None, cached: bool = False
    ) -> tuple[int, int]:
        """First and next offset."""
        place = at.topic, at.partition
        return self.broker.beginnings.get(place, 0), len(self.broker.logs[at.topic][at.partition])

    def consumer_group_metadata(self) -> None:
        """Nothing that matters here."""

    def consume(self, limit: int, timeout: float) -> list[FakeMessage]:
        """Some records of one partition, or the news of its end."""
        logs = self.broker.logs
        waiting = [place for place in self._positions if self._told.get(place) != len(logs[place[0]][place[1]])]
        if not waiting:
            return []
        topic, partition = place = self._rng.choice(waiting)
        start = self._positions[place]
        taken = logs[topic][partition][start : start + min(limit, self._rng.randint(1, self._most))]
        self._positions[place] += len(taken)
        if not taken:
            self._told[place] = start
            return [end_of(topic, partition, start)]
        return list(taken)

    def close(self) -> None:
        """Note it."""
        self.closed = True


Accident = Callable[[], None]


class FakeProducer:
    """Transactions into the broker; before each call of a method an accident may happen."""

    def __init__(self, broker: FakeBroker, accidents: dict[str, list[Accident | None]] | None = None) -> None:
        self._broker, self._accidents = broker, accidents or {}
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
        """What an older producer left open is not here: it is forgotten."""
        self._called("init_transactions")

    def begin_transaction(self) -> None:
        """Begin with nothing."""
        self._called("begin_transaction")
        self._records, self._offsets = [], []

    def produce(self, topic: str, value: bytes | None, key: bytes | None, *, headers: Any = None) -> None:
        """Keep a record until the commit."""
        self._called("produce")
        self._records.append((topic, 0, value, headers or [], key))

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], group: None, timeout: float) -> None:
        """Keep offsets until the commit."""
        self._called("send_offsets_to_transaction")
        self._offsets = offsets

    def commit_transaction(self, timeout: float) -> None:
        """Write all."""
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
        """Everything is delivered."""
        return 0

    def poll(self, timeout: float) -> int:
        """Nothing to tell."""
        return 0


class FakeRegistry:
    """Schemas in memory, parsed as the client's registry gives them."""

    def __init__(self, subject: Callable[[int, Any], Any], parse: Callable[[Any], Any], **subjects: Any) -> None:
        self._subject, self._parse = subject, parse
        self._schemas: list[Any] = []
        self._by_name: dict[str, Any] = {}
        for name, schema in subjects.items():
            self.register(name.replace("__", "-"), schema)

    def register(self, subject: str, schema: Any) -> Any:
        """Keep a schema under the next id, from 1."""
        self._schemas.append(self._parse(schema))
        self._by_name[subject] = self._subject(len(self._schemas), self._schemas[-1])
        return self._by_name[subject]

    def newest(self, subject: str) -> Any:
        """The subject's schema, or None."""
        return self._by_name.get(subject)

    def by_id(self, schema_id: int) -> Any:
        """The schema of an id that is known."""
        return self._schemas[schema_id - 1]

    def close(self) -> None:
        """Nothing to close."""
