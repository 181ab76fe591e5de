"""A step with 1 % of the users changed, compared with KMeans.fit alone on the same matrix in the same process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.client import Client
from benchmarks.inputs import Input
from benchmarks.processes import Background, ProgramFailed
from benchmarks.stack import Stack
from benchmarks.steps import Step, steps_in
from benchmarks.summary import Summary
from benchmarks.verification import Labelled

SHARE = 0.01
STEP_SECONDS = 60.0
TRIES_PER_STEP = 3


@dataclass(frozen=True)
class ChangedUsers:
    """Steps at one number of users, in milliseconds."""

    n_users: int
    step_ms: Summary
    """Choosing the current rows, fit, finding changed labels, one transaction."""
    fit_in_step_ms: Summary
    """The part of KMeans.fit; with --fit cells, of the whole fit."""
    bare_fit_ms: Summary
    step_over_bare_fit: Summary
    """Step by step, on the same matrix: the number of iterations depends on it."""
    n_changes: Summary


def changed_users(client: Client, n_steps: int, *options: str, check: bool = True) -> ChangedUsers:
    """Change 1 % of the users repeatedly while a client that has labelled its input is running."""
    stack = client.stack
    source = client.source
    result = stack.directory / f"{stack.new_name('fits')}.json"
    command = [sys.executable, "-m", "benchmarks.programs.timed_client", result, *client.arguments(*options)]
    with Background(command, client.log()) as background:
        feeder = Feeder(source, background)
        feeder.change(1)  # the first step restores the state: not counted
        steps = feeder.steps(n_steps)
        background.stop()
    if check:
        client.check()
    return summary_of(source.n_users, steps, result)


def steps_of_new_client(
    stack: Stack, source: Input, n_steps: int, expected: Callable[[Input], Labelled], *options: str
) -> ChangedUsers:
    """Label an input with a new client, then measure steps of the same client; `expected` gives the labels."""
    client = Client.new(stack, source)
    client.run(*options)
    steps = changed_users(client, n_steps, *options, check=False)
    client.check(expected(source))
    return steps


def summary_of(n_users: int, steps: dict[int, Step], result: Path) -> ChangedUsers:
    """Join the steps with the fits inside them, which timed_client.py measured in the same order.

    In that process the logged time of a step includes the bare fit and the encoding for it; both are subtracted.
    """
    fits = json.loads(result.read_text(encoding="utf-8"))
    bare_ms = {number: fits["bare"][number] for number in steps}
    encoding_ms = fits["encoding"] or [0.0] * len(fits["bare"])
    step_ms = {number: step.ms - bare_ms[number] - encoding_ms[number] for number, step in steps.items()}
    return ChangedUsers(
        n_users,
        Summary.of(list(step_ms.values())),
        Summary.of([fits["in_steps"][number] for number in steps]),
        Summary.of(list(bare_ms.values())),
        Summary.of([step_ms[number] / bare_ms[number] for number in steps]),
        Summary.of([step.n_changes for step in steps.values()]),
    )


class Feeder:
    """Changes users, and waits until the client has processed the changes."""

    def __init__(self, source: Input, background: Background, seconds: float = STEP_SECONDS) -> None:
        self._source = source
        self._background = background
        self._seconds = seconds
        self._n_written = 0

    def change(self, n_users: int) -> list[Step]:
        """Write one event each for random users; return all steps so far once the client has committed them."""
        chosen = self._source.rng.choice(self._source.n_users, n_users, replace=False).astype(np.int64)
        changes = self._source.add_events(chosen)
        self._source.write(changes)
        self._n_written += len(changes)
        self._background.wait_until(self._processed, self._seconds)
        return steps_in(self._background.output)

    def steps(self, n_steps: int) -> dict[int, Step]:
        """Return steps by number, without those that processed only a part of a change."""
        found: dict[int, Step] = {}
        n_changed = max(1, round(SHARE * self._source.n_users))
        for _ in range(TRIES_PER_STEP * n_steps):
            steps = self.change(n_changed)
            if steps[-1].n_records == 2 * n_changed:
                found[len(steps) - 1] = steps[-1]
            if len(found) == n_steps:
                return found
        raise ProgramFailed(f"only {len(found)} steps processed 1 % of the users together")

    def _processed(self) -> bool:
        return sum(step.n_records for step in steps_in(self._background.output)) >= self._n_written
