"""An open transaction of another program in the output: a restore reads only up to it, waits and logs a warning."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer

from tests.faults.arena import Arena
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.support.client import Client
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

OPEN_MS = 120_000
"""Longer than a test takes, so that the broker does not abort the transaction."""
TIMEOUT_S = 30.0
WARNED_S = 40.0
WARNING = r"(open transaction|transaction\b.* (is|left|still) open|last stable offset)"


def begin_transaction(pipeline: Pipeline) -> Producer:
    """The producer of another program, with one tombstone in an open transaction in the output."""
    settings = {"transactional.id": f"another program on {pipeline.output}", "transaction.timeout.ms": OPEN_MS}
    producer = Producer({"bootstrap.servers": pipeline.topics.bootstrap_servers, "log_level": 0, **settings})
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    producer.produce(pipeline.output, None, b"nobody", partition=0)
    producer.flush(TIMEOUT_S)
    return producer


@contextmanager
def open_transaction(pipeline: Pipeline) -> Iterator[None]:
    """Keep a transaction of another program open in the output, and abort it at the end."""
    producer = begin_transaction(pipeline)
    try:
        yield
    finally:
        producer.abort_transaction(TIMEOUT_S)


def restore_during_transaction(stack: Stack, directory: Path, seed: int) -> Result:
    """Labels are written after the beginning of the open transaction; the next start must not restore without them."""
    with Arena(stack, directory, "foreign_transaction", seed, flowing=False) as arena:
        arena.feeder.write(400)
        client = arena.clients.start()
        arena.settle(client)
        pipeline = arena.pipeline
        with open_transaction(pipeline):
            arena.feeder.write(400)
            arena.feeder.flush()
            wait_until(lambda: not pipeline.lag() or not client.running, "labels to follow the open transaction")
            client.kill()
            started = time.time()
            client = arena.clients.start()
            warning = _wait_for_warning(client, pipeline)
            arena.recovery.append(time.time() - started)
            if "users restored" in client.output:
                raise AssertionError(f"the client restored only what precedes the transaction:\n{client.output}")
            arena.faults += 1
        if not client.running:
            client = arena.clients.start()
        arena.feeder.write(400)
        result = arena.finish(client)
        result.notes += ["seconds until the warning", warning]
        return result


def _wait_for_warning(client: Client, pipeline: Pipeline) -> str:
    """The part of the log that names the output and the open transaction."""
    warning = re.compile(rf"{pipeline.output}\b.*{WARNING}")
    wait_until(lambda: warning.search(client.output) or not client.running, "the warning", WARNED_S)
    found = warning.search(client.output)
    if not found:
        raise AssertionError(f"the client ended with {client.wait()} and no warning:\n{client.output}")
    return found[0]
