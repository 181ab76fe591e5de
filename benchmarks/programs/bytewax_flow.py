"""Bytewax: a dataflow from its Kafka source that decodes whole batches with fastavro, with a dict as the table.

Bytewax's own state costs a Python call per record; the dict is the fastest option.
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

from benchmarks.programs.job import Job
from benchmarks.programs.last_row import LastRows

BATCH = 10_000
PREFIX_BYTES = 5
"""The magic byte and the schema id."""


def schema_of(job: Job) -> Any:
    """Return the latest schema of the topic's values."""
    url = f"{job.registry_url}/subjects/{job.topic}-value/versions/latest"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return fastavro.parse_schema(json.loads(json.load(answer)["schema"]))


def main() -> None:
    """Run the dataflow to the end of every partition."""
    job = Job.from_command_line()
    table = LastRows()
    schema = schema_of(job)

    def add(messages: Iterable[Any]) -> list[Any]:
        for message in messages:
            fields: Any = fastavro.schemaless_reader(io.BytesIO(message.value[PREFIX_BYTES:]), schema, None)
            table.add(fields, message.headers)
        return []

    flow = Dataflow("last_row")
    committed = {"isolation.level": "read_committed"}
    source = KafkaSource([job.bootstrap_servers], [job.topic], tail=False, add_config=committed, batch_size=BATCH)
    op.output("none", op.flat_map_batch("add", op.input("read", flow, source), add), TestingSink([]))
    run_main(flow)
    job.finish(table.n_records, table.rows)


if __name__ == "__main__":
    main()
