"""New labels, as a reader of the output receives them."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import fastavro
from confluent_kafka import Consumer, TopicPartition

from benchmarks.stack import TIMEOUT_SECONDS, Stack
from tests.support.wire import schema_id_of

PREFIX_BYTES = 5


class NewLabel(NamedTuple):
    """One record of the output."""

    user_id: str
    num_transactions: int
    label: int


class LabelTail:
    """A read_committed consumer of the output that starts at its current end."""

    def __init__(self, stack: Stack, topic: str) -> None:
        self._stack = stack
        self._schema: Any = None
        self._consumer = Consumer(
            {
                "bootstrap.servers": stack.bootstrap_servers,
                "group.id": stack.new_name("tail"),
                "enable.auto.commit": "false",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": "10",
                "log_level": "0",
            }
        )
        partitions = [TopicPartition(topic, partition) for partition in stack.topics.partitions(topic)]
        for partition in partitions:
            partition.offset = self._consumer.get_watermark_offsets(partition, TIMEOUT_SECONDS)[1]
        self._consumer.assign(partitions)

    def read(self, n: int, seconds: float) -> list[NewLabel]:
        """Return up to n labels; wait for them up to `seconds`."""
        values = [message.value() for message in self._consumer.consume(n, seconds) if message.error() is None]
        return [self._decoded(value) for value in values if value is not None]

    def _decoded(self, value: bytes) -> NewLabel:
        if self._schema is None:
            self._schema = fastavro.parse_schema(self._stack.subjects.schema(schema_id_of(value)))
        row: Any = fastavro.schemaless_reader(io.BytesIO(value[PREFIX_BYTES:]), self._schema, None)
        return NewLabel(row["user_id"], row["num_transactions"], row["label"])

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()
