"""SIGTERM ends the client within ten seconds in any outage; last line and exit code state what is committed."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.faults.arena import Arena
from tests.faults.clients import TracedClient
from tests.faults.feeder import Feeder
from tests.faults.outages import BEGINS, Encoder, odd_schema
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.faults.steps import ENTRY, Aim, Step
from tests.support.waiting import wait_until

MOST_S = 10.0
BUSY_S = 4.0
"""What a busy machine may add."""
MANY_USERS = 4_000
STATES = re.compile(r"\bcommitted\b|nothing had begun|was deleted while it was in use")
"""A deleted output has no last step."""
NOT_COMMITTED = re.compile(r"the last step is not committed|whether the last step is committed")


class Case(NamedTuple):
    """An outage."""

    name: str
    begin: Callable[[Arena], TracedClient]
    """Start a client, begin the outage, and wait until the client has noticed."""
    end: Callable[[Arena], None]
    options: tuple[str, ...] = ()
    """Options of the client that continues afterwards."""


def terminate(stack: Stack, directory: Path, seed: int, case: Case) -> Result:
    """Send SIGTERM during the outage; then let another client finish."""
    name = ("rebuild_" if case.options else "") + "sigterm_" + case.name.replace(" ", "_")
    with Arena(stack, directory, name, seed, flowing=False) as arena:
        try:
            running = case.begin(arena)
            sent = time.monotonic()
            running.send(signal.SIGTERM)
            code = running.wait()
            arena.recovery.append(time.monotonic() - sent)
        finally:
            case.end(arena)
        arena.faults += 1
        last = check_end(running, code, arena.recovery[-1])
        result = arena.finish(
            arena.clients.start(*case.options), stepwise=False, watched=False, onward=not case.options
        )
        result.notes += ["seconds until the end", f"exit {code}: {last}"]
        return result


def check_end(running: TracedClient, code: int, seconds: float) -> str:
    """Return the last line, which must state whether the last step is committed; if not, the exit code is 1."""
    last = running.output.splitlines()[-1]
    if seconds > MOST_S + BUSY_S:
        raise AssertionError(f"the client took {seconds:.1f} s to end:\n{running.output[-3000:]}")
    if code not in (0, 1) or not STATES.search(last) or (code == 0 and NOT_COMMITTED.search(last)):
        raise AssertionError(f"exit {code}, and the last line does not state what is committed: {last}")
    return last


def _flowing(arena: Arena) -> TracedClient:
    arena.feeder.start()
    running = arena.clients.start()
    arena.labels_flow()
    return running


def _noticed(running: TracedClient, written: int) -> TracedClient:
    wait_until(lambda: BEGINS.search(running.output, written) or not running.running, "the client to notice")
    return running


def _kill_brokers(arena: Arena) -> TracedClient:
    running = _flowing(arena)
    written = len(running.output)
    _kill_all(arena.stack)
    return _noticed(running, written)


def _kill_all(stack: Stack) -> None:
    for broker in stack.brokers:
        broker.kill()


def _freeze_brokers(arena: Arena) -> TracedClient:
    running = _flowing(arena)
    written = len(running.output)
    for broker in arena.stack.brokers:
        os.kill(broker.pid, signal.SIGSTOP)
    return _noticed(running, written)


def _thaw_brokers(arena: Arena) -> None:
    for broker in arena.stack.brokers:
        os.kill(broker.pid, signal.SIGCONT)


def _delete_output(arena: Arena) -> TracedClient:
    running = _flowing(arena)
    step = running.step
    arena.pipeline.topics.delete(arena.pipeline.output)
    wait_until(lambda: running.step in (Step.PRODUCE, Step.OFFSETS) or not running.running, f"a step after {step}")
    return running


def _make_output(arena: Arena) -> None:
    arena.pipeline.topics.create(arena.pipeline.output, 1, {"cleanup.policy": "compact"})


def _kill_registry(arena: Arena) -> TracedClient:
    """Records of a schema id that the client has not seen arrive while the registry is away."""
    running = _flowing(arena)
    pipeline = arena.pipeline
    written = len(running.output)
    new_id = pipeline.subjects.register(f"{pipeline.source}-value", odd_schema(0))
    arena.stack.registry.kill()
    arena.feeder.encode = Encoder(odd_schema(0), new_id)
    return _noticed(running, written)


def _compare(arena: Arena) -> TracedClient:
    arena.feeder = Feeder(arena.pipeline, 1, n_users=MANY_USERS)
    arena.feeder.write(4 * MANY_USERS)
    arena.feeder.flush()
    running = arena.clients.start("-k", "auto")
    running.wait_for_output("comparing 2 to 10 clusters")
    return running


def _restore_without_brokers(arena: Arena) -> TracedClient:
    """Kill the brokers when the client begins to restore."""
    arena.feeder.start()
    running = arena.clients.start(aim=Aim(Step.RESTORE, 1, ENTRY, "SIGSTOP"))
    running.wait_until_stopped()
    _kill_all(arena.stack)
    running.send(signal.SIGCONT)
    return _noticed(running, 0)


def _revive(arena: Arena) -> None:
    arena.stack.revive()


CASES = (
    Case("brokers killed", _kill_brokers, _revive),
    Case("brokers frozen", _freeze_brokers, _thaw_brokers),
    Case("output deleted", _delete_output, _make_output, ("--rebuild",)),
    Case("registry killed", _kill_registry, _revive),
    Case("comparing k", _compare, lambda arena: None),
    Case("restoring without brokers", _restore_without_brokers, _revive),
)
