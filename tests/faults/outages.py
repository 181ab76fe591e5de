"""The broker or the registry is killed and started again; the client waits and says so once, as it says the end."""

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
from tests.support.waiting import wait_until
from tests.support.wire import AGGREGATE_SCHEMA, body, frame
from user_classifier import TOPIC_CHECK_SECONDS

BEGINS = re.compile(r"^.* WARNING (.+?): .*; retrying until it is back$", re.MULTILINE)
ENDS = re.compile(r"^.* WARNING (.+?): back after [\d.]+ s$", re.MULTILINE)
SAID_S = 30.0
UNNOTICED_S = TOPIC_CHECK_SECONDS + CALL_TIMEOUT_SECONDS
"""In a shorter outage the only call may be one of a client without news, late enough to be answered in time."""


def kill_broker(stack: Stack, directory: Path, seed: int, down_s: list[float]) -> Result:
    """Kill the broker once for each of the times it is to stay away."""
    with Arena(stack, directory, "broker_killed", seed) as arena:
        client = arena.clients.start()
        arena.labels_flow()
        for seconds in down_s:
            _outage(arena, client, stack.broker, f"Kafka {stack.broker.bootstrap_servers}", seconds)
        result = arena.finish(client)
        result.notes.append("down for " + ", ".join(f"{seconds:.0f}" for seconds in down_s) + " s and the start")
        return result


def _outage(arena: Arena, client: TracedClient, service: Service, name: str, down_s: float) -> None:
    """One outage, from labels that flow to labels that flow; what is said belongs to it."""
    written, killed = len(client.output), time.time()
    service.kill()
    time.sleep(down_s)
    launched = time.time()
    service.start()
    since = time.time()
    arena.labels_flow(launched)
    arena.recovery.append(max(0.0, time.time() - since))
    arena.faults += 1
    if since - killed < UNNOTICED_S and not BEGINS.findall(client.output[written:]) and client.running:
        return  # no call took longer than it may
    check_said_once(client, written, name)


def check_said_once(client: TracedClient, written: int, name: str) -> None:
    """Fail unless the client has said once that a service is away, and once that it is back."""
    wait_until(lambda: ENDS.findall(client.output[written:]) or not client.running, "the end of the outage", SAID_S)
    said = client.output[written:]
    begins, ends = BEGINS.findall(said), ENDS.findall(said)
    if not client.running or begins != [name] or ends != [name]:
        raise AssertionError(f"one outage of {name}, but began: {begins}, ended: {ends}:\n{said[-4000:]}")


def kill_registry(stack: Stack, directory: Path, seed: int, times: int) -> Result:
    """Kill the registry; while it is away records of a schema id never seen arrive."""
    with Arena(stack, directory, "registry_killed", seed) as arena:
        pipeline = arena.pipeline
        new_ids = [pipeline.subjects.register(f"{pipeline.source}-value", odd_schema(n)) for n in range(times)]
        client = arena.clients.start()
        arena.labels_flow()
        for number, schema_id in enumerate(new_ids):
            written = len(client.output)
            stack.registry.kill()
            # What it knows it needs not ask for.
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
            check_said_once(client, written, name)
        result = arena.finish(client)
        result.notes.append(f"{times} new schema ids arrived while it was away")
        return result


def _warned(client: TracedClient, written: int) -> bool:
    return bool(BEGINS.findall(client.output[written:])) or not client.running


def odd_schema(number: int) -> dict[str, object]:
    """The columns in another order, beside one that nobody knows."""
    *_, last = AGGREGATE_SCHEMA["fields"]
    extra = {"name": f"extra_{number}", "type": ["null", "string"], "default": None}
    return {**AGGREGATE_SCHEMA, "fields": [extra, last, *AGGREGATE_SCHEMA["fields"][:-1]]}


class Encoder:
    """Values in a schema of our own."""

    def __init__(self, schema: dict[str, object], schema_id: int) -> None:
        self._schema, self._id = schema, schema_id

    def __call__(self, change: Change) -> bytes:
        return frame(self._id, body(self._schema, change.row._asdict()))
