"""The client is frozen (SIGSTOP) for longer than a transaction may last, and then continues (SIGCONT)."""

import signal
import time
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.faults.steps import ENTRY, EXIT, Aim, Step

TRANSACTION_MS = 5000
FROZEN_S = 7.0
"""Longer than the timeout of a transaction, and the broker's interval of checks for it."""
MOMENTS = (
    (Step.COMMIT, ENTRY),
    (Step.GATHER, ENTRY),
    (Step.PRODUCE, EXIT),
    (Step.OFFSETS, ENTRY),
    (Step.FIT, ENTRY),
    (Step.OFFSETS, EXIT),
    (Step.COMMIT, EXIT),
    (Step.COMMIT, "0.002"),
    (Step.RESTORE, ENTRY),
)
IN_TRANSACTION = {(Step.COMMIT, ENTRY), (Step.PRODUCE, EXIT), (Step.OFFSETS, ENTRY), (Step.OFFSETS, EXIT)}
RESTORING = "; restoring from"


def freeze_client(stack: Stack, directory: Path, seed: int, times: int) -> Result:
    """Freeze `times` clients, each at another moment, and let each continue; the last one finishes the work."""
    settings = {"transaction.timeout.ms": str(TRANSACTION_MS)}
    with Arena(stack, directory, "frozen", seed, producer=settings) as arena:
        moments = [MOMENTS[number % len(MOMENTS)] for number in range(times)]
        for number, (step, when) in enumerate(moments, start=1):
            entry = 1 if step is Step.RESTORE else arena.rng.randint(2, 6)
            client = arena.clients.start(aim=Aim(step, entry, when, "SIGSTOP"))
            client.wait_until_stopped()
            time.sleep(FROZEN_S)
            continued = time.time()
            client.send(signal.SIGCONT)
            arena.faults += 1
            arena.recovered(continued)
            if (step, when) in IN_TRANSACTION and RESTORING not in client.output:
                raise AssertionError(f"frozen at {step.name} {when}, and it did not notice:\n{client.output[-3000:]}")
            if number < times:
                client.kill()
        result = arena.finish(client)
        result.notes.append("frozen at " + ", ".join(f"{step.name.lower()} {when}" for step, when in moments))
        return result
