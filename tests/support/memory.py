"""The client's `Kafka` and registry over the fakes."""

from collections.abc import Mapping
from typing import Any, cast

import fastavro
from confluent_kafka import Consumer, Producer

from classifier.config.settings import Settings
from classifier.kafka.client import Kafka
from classifier.serialization.registry import SchemaRegistry, Subject
from classifier.stop import StopRequest
from tests.support.fakes import FakeAdmin, FakeBroker, FakeConsumer, FakeProducer, FakeRegistry

SETTINGS = Settings(schema_registry={}, consumer={"bootstrap.servers": "host:9092"}, producer={}, group="team")


class KafkaInMemory(Kafka):
    """Returns one fake consumer and one fake producer."""

    def __init__(self, given: Settings, stop: StopRequest, consumer: FakeConsumer, producer: FakeProducer) -> None:
        super().__init__(given, stop)
        self._clients = consumer, producer

    def admin(self, section: str) -> FakeAdmin:
        """See Kafka."""
        return FakeAdmin(self._clients[0].broker)

    def consumer(self) -> Consumer:
        """See Kafka."""
        return cast(Consumer, self._clients[0])

    def producer(self, *_: object) -> Producer:
        """See Kafka."""
        return cast(Producer, self._clients[1])

    def connect(self, *_: object) -> None:
        """Nothing to connect to."""

    def topic_config(self, topic: str) -> Mapping[str, str]:
        """See Kafka."""
        return {"cleanup.policy": "compact"}


def registry_of(**subjects: Any) -> SchemaRegistry:
    """A registry whose schemas have the ids 1, 2, ... in this order; x__value names the subject x-value."""
    return cast(SchemaRegistry, FakeRegistry(Subject, fastavro.parse_schema, **subjects))


def in_memory(producer: FakeProducer | None = None, consumer: FakeConsumer | None = None) -> KafkaInMemory:
    """Kafka over these fakes."""
    broker = FakeBroker()
    reading = FakeConsumer(broker, seed=1) if consumer is None else consumer
    return KafkaInMemory(SETTINGS, StopRequest(), reading, FakeProducer(broker) if producer is None else producer)
