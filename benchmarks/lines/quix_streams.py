"""Quix Streams: a StreamingDataFrame with the stock Avro deserializer; a dict of our own for the table.

Its own state needs a key, which these records lack, and would send each of them through a topic of its own first
(`group_by`) and through RocksDB: the dict is the fastest that can be written.
"""

from __future__ import annotations

from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]
from quixstreams.models.serializers.avro import AvroDeserializer  # type: ignore[import-not-found]
from quixstreams.models.serializers.schema_registry import (  # type: ignore[import-not-found]
    SchemaRegistryClientConfig,
)

from benchmarks.lines.job import Job
from benchmarks.lines.last_row import LastRows


def main() -> None:
    """Run until as many records were processed as the topic holds."""
    job, table = Job.from_command_line(), LastRows()
    application = Application(
        broker_address=job.bootstrap_servers,
        consumer_group=job.group,
        auto_offset_reset="earliest",
        consumer_extra_config={"isolation.level": "read_committed"},
        loglevel="WARNING",
    )
    registry = SchemaRegistryClientConfig(url=job.registry_url)
    topic = application.topic(job.topic, value_deserializer=AvroDeserializer(schema_registry_client_config=registry))

    def take(value: Any, key: Any, timestamp: Any, headers: Any) -> None:
        table.take(value, headers)

    application.dataframe(topic).update(take, metadata=True)
    application.run(count=job.n_records, timeout=job.seconds, collect=False)
    job.finish(table.n_records, table.rows)


if __name__ == "__main__":
    main()
