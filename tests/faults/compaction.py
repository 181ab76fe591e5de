"""The broker compacts the output while the client is stopped: old records and tombstones are deleted."""

import time
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from tests.faults.arena import Arena
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.support.pipeline import Pipeline
from tests.support.topics import Outgoing, Record

# Small segments, cleaned immediately.
SETTINGS = {"segment.ms": "200", "min.cleanable.dirty.ratio": "0.0001", "delete.retention.ms": "100"}
ROUNDS = 60
ROUND_S = 0.5


def compact_eagerly(pipeline: Pipeline) -> None:
    """Configure the output to be compacted immediately."""
    set_to = AlterConfigOpType.SET
    entries = [ConfigEntry(name, value, incremental_operation=set_to) for name, value in SETTINGS.items()]
    topic = ConfigResource(ConfigResource.Type.TOPIC, pipeline.output, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": pipeline.topics.bootstrap_servers, "log_level": 0})
    admin.incremental_alter_configs([topic])[topic].result(30)


def wait_for_compaction(pipeline: Pipeline) -> list[Record]:
    """Wait until each key has one record and no tombstone is left; return the records that are left."""
    for _ in range(ROUNDS):
        # The last segment is never cleaned, and only a write rolls it; an aborted write changes nothing else.
        pipeline.topics.write_in_transaction(pipeline.output, [Outgoing(0, b"", [], b"nobody")], commit=False)
        time.sleep(ROUND_S)
        left = pipeline.topics.read(pipeline.output)
        if len({record.key for record in left}) == len(left) and all(record.value is not None for record in left):
            return left
    raise TimeoutError(f"the broker did not compact {pipeline.output}")


def compact(stack: Stack, directory: Path, seed: int, times: int) -> Result:
    """Label, stop, let the broker compact, and continue."""
    with Arena(stack, directory, "compacted", seed, flowing=False) as arena:
        removed: list[Record] = []
        arena.feeder.write(600)
        for _ in range(times):
            client = arena.clients.start()
            arena.settle(client)
            arena.feeder.write(600)  # deletes some users who have a label: tombstones
            arena.settle(client)
            client.stop()
            before = arena.pipeline.topics.read(arena.pipeline.output)
            compact_eagerly(arena.pipeline)
            left = {record[:2] for record in wait_for_compaction(arena.pipeline)}
            removed += [record for record in before if record[:2] not in left]
            arena.faults += 1
            arena.feeder.write(600)
            started = time.time()
            client = arena.clients.start()
            arena.recovered(started)
            client.kill()
        result = arena.finish(arena.clients.start(), stepwise=False, watched=False)
        n_tombstones = sum(record.value is None for record in removed)
        result.notes.append(f"the broker removed {len(removed)} records, {n_tombstones} of them tombstones")
        if not n_tombstones:
            raise AssertionError("no tombstone was removed")
        return result
