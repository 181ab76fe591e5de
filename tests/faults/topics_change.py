"""The input gets more partitions, or loses its first records; the output has three partitions."""

import time
from pathlib import Path

from tests.faults.arena import PARTITIONS, Arena
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.support.waiting import wait_until

GROWN = 2 * PARTITIONS
OUTPUT_PARTITIONS = 3


def grow(stack: Stack, directory: Path, seed: int) -> Result:
    """Six partitions become twelve while labels flow to three; the client is killed once it reads all."""
    with Arena(stack, directory, "grown", seed, output_partitions=OUTPUT_PARTITIONS) as arena:
        client = arena.clients.start()
        arena.labels_flow()
        arena.feeder.grow(GROWN)
        grown = time.time()
        wait_until(lambda: len(arena.pipeline.offsets()) == GROWN or not client.running, "the client to read them all")
        arena.recovery.append(time.time() - grown)
        arena.faults += 1
        client.kill()
        client = arena.clients.start()
        arena.labels_flow()
        used = {record.partition for record in arena.pipeline.topics.read(arena.pipeline.output)}
        if used != set(range(OUTPUT_PARTITIONS)):
            raise AssertionError(f"labels are only in partitions {used}")
        result = arena.finish(client, stepwise=False)
        result.notes.append(f"{PARTITIONS} partitions became {GROWN}; seconds until all were read")
        return result


def trim(stack: Stack, directory: Path, seed: int) -> Result:
    """The first records are deleted before the first start: retractions come first, of rows never read."""
    with Arena(stack, directory, "trimmed", seed, flowing=False) as arena:
        arena.feeder.write(3000)
        arena.feeder.trim()
        arena.feeder.write(300)
        started = time.time()
        client = arena.clients.start()
        arena.recovered(started)
        client.kill()
        arena.faults += 1
        arena.feeder.write(300)
        result = arena.finish(arena.clients.start())
        result.notes.append(f"{len(arena.feeder.readable)} records left, the first of a user a -U")
        return result
