"""The schema of the last input record, for --check: its subject may have another name than that of the topic."""

import contextlib
from typing import Any

from confluent_kafka import KafkaException

from classifier.kafka.client import Kafka
from classifier.kafka.record import Record
from classifier.kafka.source import last_records, partitions_of
from classifier.serialization.avro import AvroReader
from classifier.serialization.registry import SchemaRegistry
from classifier.serialization.wire import schema_id_of, with_header
from classifier.users.changelog import VALUE_SCHEMA_ID


def last_record(kafka: Kafka, topic: str) -> Record | None:
    """Return the newest record with a value; None without one, or if the topic cannot be read."""
    consumer = kafka.consumer()
    with contextlib.closing(consumer), contextlib.suppress(KafkaException):
        records = last_records(consumer, topic, partitions_of(consumer, topic))
        with_value = [each for each in records if each.value() is not None]
        return max(with_value, key=lambda each: (each.timestamp()[1], each.offset()), default=None)
    return None


def value_schema(record: Record, registry: SchemaRegistry) -> tuple[str, Any]:
    """Return the name and the schema of a record's value; RecordError if it has none that can be used."""
    schema_id, _ = schema_id_of(with_header(record.value() or b"", record.headers(), VALUE_SCHEMA_ID))
    name = f"schema {'id' if isinstance(schema_id, int) else 'guid'} {schema_id}"
    return name, AvroReader(registry).schema(schema_id)
