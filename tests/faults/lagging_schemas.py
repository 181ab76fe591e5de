"""The registry answers 404 (40403) for a new schema id for some seconds: no record counts as a bad one."""

import time
from functools import partial
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.clients import TracedClient
from tests.faults.lagging_registry import LaggingRegistry
from tests.faults.outages import Encoder, odd_schema
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.support.waiting import wait_until

LAG_S = 4.0


def delay_schemas(stack: Stack, directory: Path, seed: int, name: str, times: int) -> Result:
    """Write by new schemas that the client's registry learns of later. The client ignores bad records."""
    with (
        LaggingRegistry(stack.registry.url, LAG_S) as registry,
        Arena(stack, directory, name, seed) as arena,
    ):
        pipeline = arena.pipeline
        pipeline.configure("schema_registry", url=registry.url)
        new_ids = [pipeline.subjects.register(f"{pipeline.source}-value", odd_schema(n)) for n in range(times)]
        registry.unknown.update(new_ids)
        client = arena.clients.start("--error-handling-mode", "ignore")
        arena.labels_flow()
        for number, schema_id in enumerate(new_ids):
            arena.feeder.encode = Encoder(odd_schema(number), schema_id)
            wait_until(partial(_asked, client, registry, schema_id), f"the client to ask for schema {schema_id}")
            arena.recovered(time.time())
            arena.faults += 1
        result = arena.finish(client)
        result.notes.append(f"the registry denied {times} ids for {LAG_S:.0f} s, {registry.n_denied} times in all")
        return result


def _asked(client: TracedClient, registry: LaggingRegistry, schema_id: int) -> bool:
    return schema_id in registry.denied or not client.running
