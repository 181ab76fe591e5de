"""A glance at the end of a topic for --check: its last records, in seconds, with no trace left in a group."""

import time
from collections.abc import Callable
from typing import cast

from confluent_kafka import Consumer, KafkaError, TopicPartition

from classifier.kafka import CALL_TIMEOUT_SECONDS, POLL_SECONDS
from classifier.records import Record
from classifier.source import CHUNK

LAST_RECORDS = 100  # offsets of each partition; markers of transactions take some of them
GLANCE_SECONDS = 5.0


def last_records(
    consumer: Consumer, topic: str, partitions: list[int], clock: Callable[[], float] = time.monotonic
) -> list[Record]:
    """Return the last records of each partition, as far as they come in time."""
    consumer.assign([near_end(consumer, TopicPartition(topic, partition)) for partition in partitions])
    found, left, until = list[Record](), set(partitions), clock() + GLANCE_SECONDS
    while left and clock() < until:
        for message in cast(list[Record], consumer.consume(CHUNK, POLL_SECONDS)):
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
