"""Records per second through catch-up: every line on the same topic, one after the other, round after round."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.client import Client
from benchmarks.environments import NotInstalled, python_of
from benchmarks.inputs import N_PARTITIONS, Input
from benchmarks.last_rows import WrongTable, check_last_rows
from benchmarks.line import AVRO, BYTEWAX, LIMIT, OURS, QUIX, Line
from benchmarks.plan import Plan
from benchmarks.programs import ProgramFailed, Usage, measure
from benchmarks.progress import Progress
from benchmarks.stack import Stack
from benchmarks.verification import Labelled, check_labels

FAST = (LIMIT, OURS)
OTHERS = (AVRO, QUIX, BYTEWAX)
MODULES = {LIMIT: "limit", AVRO: "avro_deserializer", QUIX: "quix_streams", BYTEWAX: "bytewax_flow"}
ENVIRONMENTS = {QUIX: "quix_streams", BYTEWAX: "bytewax"}
RUN_SECONDS = 300.0


@dataclass
class Comparison:
    """All lines on one input."""

    stack: Stack
    source: Input
    expected: Labelled
    all_lines: list[Line]
    """Of this and of other inputs; new lines are added."""
    lines: dict[str, Line] = field(default_factory=dict)
    client: Client | None = None
    """The last one that ran; its labels are still there."""

    def run_rounds(self, names: Sequence[str], plan: Plan, progress: Progress) -> None:
        """Run lines in alternating rounds."""
        if LIMIT in names:
            Comparison(self.stack, self.source, {}, []).run(LIMIT)  # not counted: the broker warms up to the topic
        seconds = 0.0
        for number in range(plan.runs):
            what = f"{self.source.n_users} users, {self.source.n_records} records, round {number + 1} of {plan.runs}"
            if not progress.has_time_for(what, seconds):
                break
            began = progress.seconds
            for name in names:
                say_run(progress, what, self.run(name))
            seconds = progress.seconds - began

    def run(self, name: str) -> Line:
        """Run a line once more. One that fails says so in the table and does not run again."""
        if name not in self.lines:
            self.lines[name] = Line(name, self.source.n_users, self.source.n_records)
            self.all_lines.append(self.lines[name])
        line = self.lines[name]
        if not line.error:
            try:
                self._client(line) if name == OURS else self._program(line)
            except (NotInstalled, ProgramFailed, WrongTable) as error:
                line.error = str(error)
        return line

    def _client(self, line: Line) -> None:
        if self.client is not None:
            self.client.forget()
        self.client = Client.new(self.stack, self.source)
        run = self.client.run()
        check_labels(self.stack, self.client.output, self.expected)
        line.usages.append(run.usage)
        line.steps.append(run.steps)

    def _program(self, line: Line) -> None:
        python = python_of(ENVIRONMENTS[line.name]) if line.name in ENVIRONMENTS else Path(sys.executable)
        job = self.stack.job(self.source.topic, N_PARTITIONS, self.source.n_records, self.source.n_users)
        result = Path(job.result)
        command: list[str | Path] = [
            python,
            "-m",
            f"benchmarks.lines.{MODULES[line.name]}",
            job.write(result.with_suffix(".job")),
        ]
        whole = measure(command, result.with_suffix(".log"), RUN_SECONDS)
        answer = json.loads(result.read_text(encoding="utf-8"))
        if answer["n_records"] != self.source.n_records:
            raise WrongTable(f"{answer['n_records']} records read of {self.source.n_records}")
        table = Path(f"{result}.table")
        if table.exists():
            line.old_rows.append(check_last_rows(table, self.source.history))
            table.unlink()
        # Up to the complete table: writing it down for the check, and ending, are not counted.
        line.usages.append(Usage(answer["at"] - whole.began, answer["cpu_seconds"], answer["peak_mib"]))


def compare_others_once(known: Comparison, comparisons: Iterable[Comparison], progress: Progress) -> None:
    """Other programs at the remaining numbers of users: one run each, as long as there is time."""
    for comparison in comparisons:
        n_users = comparison.source.n_users
        for name in OTHERS:
            measured = known.lines.get(name)
            if n_users == known.source.n_users or measured is None or not measured.usages:
                continue
            seconds = 1.5 * comparison.source.n_records / measured.rate.median
            if progress.has_time_for(f"{name} at {n_users} users", seconds):
                say_run(progress, f"{n_users} users", comparison.run(name))


def say_run(progress: Progress, what: str, line: Line) -> None:
    """Tell how the last run of a line went."""
    progress.say(f"{what}: {line.name} {line.error or f'{line.usages[-1].seconds:.1f} s'}")
