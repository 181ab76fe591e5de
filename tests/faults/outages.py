"""The broker or the registry is killed and restarted; the client waits, and logs begin and end of the outage once."""

import functools
import re
import time
from pathlib import Path

from classifier.kafka.client import CALL_TIMEOUT_SECONDS
from local.services.process import Service
from tests.faults.arena import Arena
from tests.faults.clients import TracedClient
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.support.changelog import Change
from tests.support.last_purchase import fields_of
from tests.support.waiting import wait_until
from tests.support.wire import TIMED_SCHEMA, body, frame
from user_classifier import TOPIC_CHECK_SECONDS

BEGINS = re.compile(r"^.* WARNING (.+?(?:: the output)?): .*; retrying until it is back$", re.MULTILINE)
ENDS = re.compile(r"^.* WARNING (.+?): back after [\d.]+ s$", re.MULTILINE)
LOGGED_S = 30.0
UNNOTICED_S = TOPIC_CHECK_SECONDS + CALL_TIMEOUT_SECONDS
"""A shorter outage may go unnoticed: an idle client calls the broker so rarely."""


def kill_broker(stack: Stack, directory: Path, seed: int, down_s: list[float]) -> Result:
    """Kill the broker, once for each number of seconds that it is to be down."""
    with Arena(stack, directory, "broker_killed", seed) as arena:
        client = arena.clients.start()
        arena.labels_flow()
        for seconds in down_s:
            _outage(arena, client, stack.broker, f"Kafka {stack.broker.bootstrap_servers}", seconds)
        result = arena.finish(client)
        result.notes.append("down for " + ", ".join(f"{seconds:.0f}" for seconds in down_s) + " s and the start")
        return result


def _outage(arena: Arena, client: TracedClient, service: Service, name: str, down_s: float) -> None:
    """One outage, between labels that flow; check what was logged in it."""
    written = len(client.output)
    killed = time.time()
    service.kill()
    time.sleep(down_s)
    launched = time.time()
    service.start()
    since = time.time()
    arena.labels_flow(launched)
    arena.recovery.append(max(0.0, time.time() - since))
    arena.faults += 1
    if since - killed < UNNOTICED_S and not BEGINS.findall(client.output[written:]) and client.running:
        return  # no call took too long
    check_logged_once(client, written, name)


def check_logged_once(client: TracedClient, written: int, name: str) -> None:
    """Check that the client has logged once that a service does not respond, and once that it is back.

    Of brokers that are away for a moment it may notice only that the output accepts no records.
    """
    wait_until(lambda: ENDS.findall(client.output[written:]) or not client.running, "the end of the outage", LOGGED_S)
    output = client.output[written:]
    begins = BEGINS.findall(output)
    ends = ENDS.findall(output)
    once = [[name], [f"{name}: the output"], [name, f"{name}: the output"]]
    if not client.running or sorted(begins) not in once or sorted(ends) != sorted(begins):
        raise AssertionError(f"one outage of {name}, but began: {begins}, ended: {ends}:\n{output[-4000:]}")


def kill_registry(stack: Stack, directory: Path, seed: int, times: int) -> Result:
    """Kill the registry; during the outage, records with an unknown schema id arrive."""
    with Arena(stack, directory, "registry_killed", seed) as arena:
        pipeline = arena.pipeline
        new_ids = [pipeline.subjects.register(f"{pipeline.source}-value", odd_schema(n)) for n in range(times)]
        client = arena.clients.start()
        arena.labels_flow()
        for number, schema_id in enumerate(new_ids):
            written = len(client.output)
            stack.registry.kill()
            # Known schemas need no request.
            arena.labels_flow()
            arena.feeder.encode = Encoder(odd_schema(number), schema_id)
            name = f"Schema Registry {stack.registry.url}"
            wait_until(functools.partial(_warned, client, written), "the warning")
            launched = time.time()
            stack.registry.start()
            since = time.time()
            arena.labels_flow(launched)
            arena.recovery.append(max(0.0, time.time() - since))
            arena.faults += 1
            check_logged_once(client, written, name)
        result = arena.finish(client)
        result.notes.append(f"{times} new schema ids arrived during the outage")
        return result


def _warned(client: TracedClient, written: int) -> bool:
    return bool(BEGINS.findall(client.output[written:])) or not client.running


def odd_schema(number: int) -> dict[str, object]:
    """The columns in reverse order, an unknown one, and last_purchase, which is unknown without --features."""
    extra = {"name": f"extra_{number}", "type": ["null", "string"], "default": None}
    return {**TIMED_SCHEMA, "fields": [extra, *reversed(TIMED_SCHEMA["fields"])]}


class Encoder:
    """Encodes values in a given schema."""

    def __init__(self, schema: dict[str, object], schema_id: int) -> None:
        self._schema = schema
        self._id = schema_id

    def __call__(self, change: Change) -> bytes:
        return frame(self._id, body(self._schema, fields_of(change.row)))
