"""Bytewax: a dataflow from its Kafka source, decoding whole batches with fastavro; a dict of our own for the table.

Its own state takes one Python call per record and key: the dict is the fastest that can be written.
"""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Iterable
from typing import Any

import bytewax.operators as op  # type: ignore[import-not-found]
import fastavro
from bytewax.connectors.kafka import KafkaSource  # type: ignore[import-not-found]
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.testing import TestingSink, run_main  # type: ignore[import-not-found]

from benchmarks.lines.job import Job
from benchmarks.lines.last_row import LastRows

BATCH = 10_000
PREFIX_BYTES = 5
"""The magic byte and the schema id."""


def schema_of(job: Job) -> Any:
    """The newest schema of the topic's values."""
    url = f"{job.registry_url}/subjects/{job.topic}-value/versions/latest"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return fastavro.parse_schema(json.loads(json.load(answer)["schema"]))


def main() -> None:
    """Run the dataflow to the end of every partition."""
    job, table = Job.from_command_line(), LastRows()
    schema = schema_of(job)

    def take(messages: Iterable[Any]) -> list[Any]:
        for message in messages:
            fields: Any = fastavro.schemaless_reader(io.BytesIO(message.value[PREFIX_BYTES:]), schema, None)
            table.take(fields, message.headers)
        return []

    flow = Dataflow("last_row")
    committed = {"isolation.level": "read_committed"}
    source = KafkaSource([job.bootstrap_servers], [job.topic], tail=False, add_config=committed, batch_size=BATCH)
    op.output("nothing", op.flat_map_batch("take", op.input("read", flow, source), take), TestingSink([]))
    run_main(flow)
    job.finish(table.n_records, table.rows)


if __name__ == "__main__":
    main()
