"""Records per second of catch-up: all programs read the same topic, one after the other, in alternating rounds."""

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
from benchmarks.plan import Plan
from benchmarks.processes import ProgramFailed, Usage, measure
from benchmarks.program_runs import AVRO, BYTEWAX, LIMIT, OURS, QUIX, ProgramRuns
from benchmarks.progress import Progress
from benchmarks.stack import Stack
from benchmarks.verification import Labelled, check_labels

FAST = (LIMIT, OURS)
OTHERS = (AVRO, QUIX, BYTEWAX)
MODULES = {LIMIT: "limit", AVRO: "avro_deserializer", QUIX: "quix_streams", BYTEWAX: "bytewax_flow"}
ENVIRONMENTS = {QUIX: "quix_streams", BYTEWAX: "bytewax"}
RUN_SECONDS = 300.0
"""Time limit of a run."""


@dataclass
class Comparison:
    """All programs on one input."""

    stack: Stack
    source: Input
    expected: Labelled
    all_runs: list[ProgramRuns]
    """Of this and of other inputs; the runs of this comparison are appended."""
    runs: dict[str, ProgramRuns] = field(default_factory=dict)
    """By name of the program."""
    client: Client | None = None
    """The client of the last run; its output still exists."""

    def run_rounds(self, names: Sequence[str], plan: Plan, progress: Progress) -> None:
        """Run programs in alternating rounds, as long as there is time."""
        if LIMIT in names:
            Comparison(self.stack, self.source, {}, []).run(LIMIT)  # not counted: it warms up the broker's cache
        seconds = 0.0
        for number in range(plan.runs):
            what = f"{self.source.n_users} users, {self.source.n_records} records, round {number + 1} of {plan.runs}"
            if not progress.has_time_for(what, seconds):
                break
            began = progress.seconds
            for name in names:
                log_run(progress, what, self.run(name))
            seconds = progress.seconds - began

    def run(self, name: str) -> ProgramRuns:
        """Run a program once more, unless it has failed before; return all of its runs."""
        if name not in self.runs:
            self.runs[name] = ProgramRuns(name, self.source.n_users, self.source.n_records)
            self.all_runs.append(self.runs[name])
        runs = self.runs[name]
        if runs.error:
            return runs
        try:
            if name == OURS:
                self._run_client(runs)
            else:
                self._run_program(runs)
        except (NotInstalled, ProgramFailed, WrongTable) as error:
            runs.error = str(error)
        return runs

    def _run_client(self, runs: ProgramRuns) -> None:
        if self.client is not None:
            self.client.delete_output()
        self.client = Client.new(self.stack, self.source)
        run = self.client.run()
        check_labels(self.stack, self.client.output, self.expected)
        runs.usages.append(run.usage)
        runs.steps.append(run.steps)

    def _run_program(self, runs: ProgramRuns) -> None:
        python = python_of(ENVIRONMENTS[runs.name]) if runs.name in ENVIRONMENTS else Path(sys.executable)
        job = self.stack.job(self.source.topic, N_PARTITIONS, self.source.n_records, self.source.n_users)
        result = Path(job.result)
        job_file = job.write(result.with_suffix(".job"))
        command: list[str | Path] = [python, "-m", f"benchmarks.programs.{MODULES[runs.name]}", job_file]
        process = measure(command, result.with_suffix(".log"), RUN_SECONDS)
        answer = json.loads(result.read_text(encoding="utf-8"))
        if answer["n_records"] != self.source.n_records:
            raise WrongTable(f"{answer['n_records']} records read of {self.source.n_records}")
        table = Path(f"{result}.table")
        if table.exists():
            runs.old_rows.append(check_last_rows(table, self.source.history))
            table.unlink()
        # Until the table is complete: saving it for the check, and the end of the process, do not count.
        runs.usages.append(Usage(answer["at"] - process.began, answer["cpu_seconds"], answer["peak_mib"]))


def compare_others_once(known: Comparison, comparisons: Iterable[Comparison], progress: Progress) -> None:
    """Run other programs once at the remaining numbers of users, as long as there is time."""
    for comparison in comparisons:
        n_users = comparison.source.n_users
        for name in OTHERS:
            measured = known.runs.get(name)
            if n_users == known.source.n_users or measured is None or not measured.usages:
                continue
            seconds = 1.5 * comparison.source.n_records / measured.rate.median
            if progress.has_time_for(f"{name} at {n_users} users", seconds):
                log_run(progress, f"{n_users} users", comparison.run(name))


def log_run(progress: Progress, what: str, runs: ProgramRuns) -> None:
    """Log the result of a program's last run."""
    progress.log(f"{what}: {runs.name} {runs.error or f'{runs.usages[-1].seconds:.1f} s'}")
