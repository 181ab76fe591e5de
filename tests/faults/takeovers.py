"""A second instance takes over while the first is in a transaction; the first stops with a message."""

import signal
import time
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.clients import TracedClient
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.faults.steps import ENTRY, EXIT, Aim, Step

MOMENTS = (
    (Step.COMMIT, ENTRY),
    (Step.OFFSETS, ENTRY),
    (Step.PRODUCE, EXIT),
    (Step.OFFSETS, EXIT),
    (Step.PRODUCE, ENTRY),
)


def take_over(stack: Stack, directory: Path, seed: int, times: int) -> Result:
    """Replace each instance by the next one; every third one while it runs, the others while they are frozen."""
    with Arena(stack, directory, "taken_over", seed) as arena:
        older = arena.clients.start(aim=_aim(arena, 0))
        arena.labels_flow(0.0)
        for number in range(1, times + 1):
            older = _replace(arena, older, number, last=number == times)
        return arena.finish(older)


def _aim(arena: Arena, number: int) -> Aim | None:
    """Where an instance freezes itself, to be replaced then; None: it is replaced while it runs."""
    if number % 3 == 2:
        return None
    step, when = MOMENTS[number % len(MOMENTS)]
    # PRODUCE is entered once per record, and a label of the first transaction, at most 200 records, must be seen.
    entries = (300, 600) if step is Step.PRODUCE else (3, 8)
    return Aim(step, arena.rng.randint(*entries), when, "SIGSTOP")


def _replace(arena: Arena, older: TracedClient, number: int, last: bool) -> TracedClient:
    """Start the next instance while the older one is in a transaction; the older one must stop."""
    frozen = _aim(arena, number - 1) is not None
    if frozen:
        older.wait_until_stopped()
    started = time.time()
    newer = arena.clients.start(aim=None if last else _aim(arena, number))
    arena.recovered(started)
    if frozen:
        older.send(signal.SIGCONT)
    code = older.wait()
    name = f"user_classifier-{arena.pipeline.group}-{arena.pipeline.output}"
    complaint = f"transactional.id '{name}' was taken over by a newer user_classifier; this one stops"
    if code != 1 or older.output.splitlines()[-1] != f"user_classifier.py: error: {complaint}":
        raise AssertionError(f"the older instance ended with {code}:\n{older.output[-3000:]}")
    arena.faults += 1
    return newer
