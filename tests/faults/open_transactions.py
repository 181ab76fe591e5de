"""Somebody else's open transaction in the output: a restore sees only what lies before it, and must say so."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer

from tests.faults.arena import Arena
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

OPEN_MS = 120_000
"""Longer than the scenario takes: the broker must not end it."""
TIMEOUT_S = 30.0
SAID_S = 40.0
SAID = r"(open transaction|transaction\b.* (is|left|still) open|last stable offset)"


@contextmanager
def open_transaction(pipeline: Pipeline) -> Iterator[Producer]:
    """Write one record to the output in a transaction that stays open until it is aborted."""
    settings = {"transactional.id": f"somebody else on {pipeline.output}", "transaction.timeout.ms": OPEN_MS}
    producer = Producer({"bootstrap.servers": pipeline.topics.bootstrap_servers, "log_level": 0, **settings})
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    producer.produce(pipeline.output, b"nobody reads this", b"nobody")
    producer.flush(TIMEOUT_S)
    try:
        yield producer
    finally:
        producer.abort_transaction(TIMEOUT_S)


def restore_beside(stack: Stack, directory: Path, seed: int) -> Result:
    """Labels are written behind an open transaction of somebody else; the next start never restores half."""
    with Arena(stack, directory, "foreign_transaction", seed, flowing=False) as arena:
        arena.feeder.write(400)
        client = arena.clients.start()
        arena.settle(client)
        pipeline = arena.pipeline
        with open_transaction(pipeline):
            arena.feeder.write(400)
            arena.feeder.flush()
            wait_until(lambda: not pipeline.lag() or not client.running, "the labels to be written behind it")
            client.kill()
            started = time.time()
            client = arena.clients.start()
            said = re.compile(rf"{pipeline.output}\b.*{SAID}")
            wait_until(
                lambda: said.search(client.output) or not client.running, "the open transaction to be told", SAID_S
            )
            if not said.search(client.output):
                raise AssertionError(f"the client ended with {client.wait()} and did not tell:\n{client.output}")
            arena.recovery.append(time.time() - started)
            if "users restored" in client.output:
                raise AssertionError(f"the client restored what lies before the transaction alone:\n{client.output}")
            arena.faults += 1
            line = said.search(client.output)
        if not client.running:
            client = arena.clients.start()
        arena.feeder.write(400)
        result = arena.finish(client)
        result.notes += ["seconds until it was told", line.string[line.start() : line.end()] if line else ""]
        return result
