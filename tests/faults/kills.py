"""`kill -9` of the client in each of its steps and at random moments."""

import time
from collections import Counter
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.faults.steps import ENTRY, EXIT, INSIDE, Aim, Step
from tests.support.waiting import wait_until

MOMENT_S = 2.5
"""Random moments are at most so long after the start: imports, restore, and some steps."""


def kill_clients(stack: Stack, directory: Path, seed: int, times: int) -> Result:
    """Kill `times` clients, at least one in each step; the last one finishes the work."""
    with Arena(stack, directory, "kill_9", seed) as arena:
        hits: Counter[Step] = Counter()
        missed: tuple[Step, ...] = INSIDE
        for aim in _plan(arena, times):
            hits[_kill(arena, aim)] += 1
        while (missed := tuple(step for step in INSIDE if not hits[step])) and arena.faults < 2 * times:
            hits[_kill(arena, Aim(missed[0], 1, ENTRY, "SIGKILL"))] += 1
        killed = time.time()
        last = arena.clients.start()
        arena.recovered(killed)
        result = arena.finish(last)
        result.notes.append("killed in: " + ", ".join(f"{step.name.lower()} {hits[step]}" for step in Step))
        if missed:
            raise AssertionError(f"never killed in {missed}: {result.notes}")
        return result


def _plan(arena: Arena, times: int) -> list[Aim | None]:
    """Aims at the steps in turn, for half of the kills or once each; random moments for the rest. In random order."""
    rng = arena.rng
    aimed: list[Aim | None] = []
    for number in range(max(len(INSIDE), times // 2)):
        step = INSIDE[number % len(INSIDE)]
        when = rng.choice((ENTRY, EXIT, f"{rng.uniform(0.0005, 0.02):.4f}"))
        aimed.append(Aim(step, 1 if step is Step.RESTORE else rng.randint(1, 20), when, "SIGKILL"))
    plan = [*aimed, *[None] * (times - len(aimed))]
    rng.shuffle(plan)
    return plan


def _kill(arena: Arena, aim: Aim | None) -> Step:
    """Start a client and kill it; return the step it died in."""
    since = time.time()
    client = arena.clients.start(aim=aim)
    if aim is None:
        time.sleep(arena.rng.uniform(0, MOMENT_S))
        client.kill()
    else:
        wait_until(lambda: not client.running, f"the client to kill itself at {aim}")
    if client.wait() != -9:
        raise AssertionError(f"the client was to be killed ({aim}) but ended before:\n{client.output}")
    arena.faults += 1
    first = arena.watcher.first_made(since)
    if first is not None:
        arena.recovery.append(first.arrived - since)
    return client.step
