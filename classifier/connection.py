"""Brokers and registry, connected before anything is read, and closed whatever happens."""

import contextlib
from collections.abc import Iterator

from confluent_kafka import Consumer

from classifier.clusters import import_meanwhile
from classifier.kafka import Kafka
from classifier.registry import SchemaRegistry
from classifier.settings import Settings
from classifier.topics import check_topics


@contextlib.contextmanager
def connected(settings: Settings, kafka: Kafka, registry: SchemaRegistry) -> Iterator[Consumer]:
    """Connect to brokers and registry; close both in the end."""
    consumer = kafka.consumer()
    try:
        if not settings.looks:
            kafka.producer()  # so that a mistake in [producer] is told before anything is waited for
        kafka.connect(consumer, "consumer")
        check_topics(settings, kafka, consumer)
        import_meanwhile("sklearn.cluster")  # while brokers and registry are asked
        yield consumer
    finally:
        if kafka.outage.answered is not None:  # nothing more will show that it is over
            kafka.outage.ends()
        consumer.close()
        registry.close()
