"""AvroDeserializer: the consumer loop of confluent-kafka's documentation, with a dict as the table."""

from __future__ import annotations

from typing import Any

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from benchmarks.programs.job import Job
from benchmarks.programs.last_row import LastRows
from benchmarks.programs.limit import CHUNK, POLL_SECONDS, consumer_of


def main() -> None:
    """Read to the end of every partition, decode each record, keep the last row of each user."""
    job = Job.from_command_line()
    registry = SchemaRegistryClient({"url": job.registry_url})
    # Without TOPIC the client first requests associations from the registry.
    decode: Any = AvroDeserializer(registry, conf={"subject.name.strategy.type": "TOPIC"})
    context = SerializationContext(job.topic, MessageField.VALUE)
    consumer = consumer_of(job)
    table = LastRows()
    ended = 0
    while ended < job.n_partitions:
        for message in consumer.consume(CHUNK, POLL_SECONDS):
            if message.error() is None:
                headers: Any = message.headers()
                table.add(decode(message.value(), context), headers)
            else:
                ended += 1
    consumer.close()
    job.finish(table.n_records, table.rows)


if __name__ == "__main__":
    main()
