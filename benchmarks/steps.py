"""The steps of a client, read from its log: one line per step."""

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
    """One step of the client."""

    at: datetime
    """When it was logged, after its commit."""
    n_records: int
    n_users: int
    n_changes: int
    fit_ms: float
    """Includes choosing the current rows and finding the changed labels."""
    commit_ms: float

    @property
    def ms(self) -> float:
        """Milliseconds of the whole step."""
        return self.fit_ms + self.commit_ms


def steps_in(log: str) -> list[Step]:
    """Return all steps in order."""
    steps = []
    for match in LINE.finditer(log):
        n_records, n_users, n_changes, fit, commit = match.groups()[1:]
        at = datetime.strptime(match["at"], TIME)
        steps.append(Step(at, int(n_records), int(n_users), int(n_changes), float(fit), float(commit)))
    return steps


def cycles_ms(steps: list[Step], n_steps: int = 10) -> list[float]:
    """Return milliseconds from the end of a step to the end of the next: reading, decoding, fit, commit, log line.

    The log has whole milliseconds, so each value is the mean of `n_steps` successive ones.
    """
    pairs = zip(steps, steps[n_steps:], strict=False)
    return [1000 * (later.at - step.at).total_seconds() / n_steps for step, later in pairs]
