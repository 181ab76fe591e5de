"""The steps of a client, from its log: each line says what a step took."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

NUMBER = r"(\d+(?:\.\d+)?)"
LINE = re.compile(
    rf"^(?P<at>\S+ \S+) .*?{NUMBER} records, {NUMBER} users, {NUMBER} changes, fit {NUMBER} ms, commit {NUMBER} ms",
    re.MULTILINE,
)
TIME = "%Y-%m-%d %H:%M:%S,%f"


@dataclass(frozen=True)
class Step:
    """One fit, with what was written after it."""

    at: datetime
    """When it was done."""
    n_records: int
    n_users: int
    n_changes: int
    fit_ms: float
    """With choosing the current rows before it and finding the changed labels after it."""
    commit_ms: float

    @property
    def ms(self) -> float:
        """The whole step."""
        return self.fit_ms + self.commit_ms


def steps_in(log: str) -> list[Step]:
    """All steps, in order."""
    steps = []
    for match in LINE.finditer(log):
        n_records, n_users, n_changes, fit, commit = match.groups()[1:]
        at = datetime.strptime(match["at"], TIME)
        steps.append(Step(at, int(n_records), int(n_users), int(n_changes), float(fit), float(commit)))
    return steps


def cycles_ms(steps: list[Step], n_steps: int = 10) -> list[float]:
    """Milliseconds from the end of a step to the end of the next: reading, decoding, fit, commit, log line.

    The log tells whole milliseconds, so each is the mean of `n_steps` in a row.
    """
    pairs = zip(steps, steps[n_steps:], strict=False)
    return [1000 * (later.at - step.at).total_seconds() / n_steps for step, later in pairs]
