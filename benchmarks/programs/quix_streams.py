"""Quix Streams: a StreamingDataFrame with its Avro deserializer, with a dict as the table.

Quix's own state needs keys, which these records lack: each record would first pass another topic (`group_by`) and
RocksDB. The dict is the fastest option.
"""

from __future__ import annotations

from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]
from quixstreams.models.serializers.avro import AvroDeserializer  # type: ignore[import-not-found]
from quixstreams.models.serializers.schema_registry import (  # type: ignore[import-not-found]
    SchemaRegistryClientConfig,
)

from benchmarks.programs.job import Job
from benchmarks.programs.last_row import LastRows


def main() -> None:
    """Process all records of the topic."""
    job = Job.from_command_line()
    table = LastRows()
    application = Application(
        broker_address=job.bootstrap_servers,
        consumer_group=job.group,
        auto_offset_reset="earliest",
        consumer_extra_config={"isolation.level": "read_committed"},
        loglevel="WARNING",
    )
    registry = SchemaRegistryClientConfig(url=job.registry_url)
    topic = application.topic(job.topic, value_deserializer=AvroDeserializer(schema_registry_client_config=registry))

    def add(value: Any, key: Any, timestamp: Any, headers: Any) -> None:
        table.add(value, headers)

    application.dataframe(topic).update(add, metadata=True)
    application.run(count=job.n_records, timeout=job.seconds, collect=False)
    job.finish(table.n_records, table.rows)


if __name__ == "__main__":
    main()
