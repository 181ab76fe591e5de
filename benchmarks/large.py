"""One process with up to ten million users: first labels, restart, steps and memory; saved to large.json."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.client import Client
from benchmarks.inputs import Input, customers_input
from benchmarks.measures.changed_users import Feeder
from benchmarks.measures.restart import one_restart
from benchmarks.plan import MANY_USERS
from benchmarks.processes import CLIENT, Background, measure
from benchmarks.programs.job import USER
from benchmarks.progress import Progress
from benchmarks.results import about, rounded
from benchmarks.stack import Stack, running_stack
from benchmarks.steps import TIME, steps_in
from benchmarks.summary import Summary
from benchmarks.table import columns, number
from benchmarks.targets import Target
from tests.support import configuration

SIZES = (MANY_USERS, 10 * MANY_USERS)
N_STEPS = 3
RUN_SECONDS = 1_800.0
"""Time limit of a run."""

SHORT_TIMEOUT_SECONDS = 4.0
"""transaction.timeout.ms of the client that is suspended during its first labelling."""

BROKER_CHECK_SECONDS = 10.0
"""Interval at which a broker aborts transactions that have timed out."""

RESTORED = re.compile(r"^(\S+ \S+) INFO .* users restored", re.MULTILINE)
PART = "labels are committed, more follow"


@dataclass(frozen=True)
class Large:
    """The results with one number of users."""

    n_users: int
    first_seconds: float
    """From the first record that is read to the last label that is committed."""
    first_peak_mib: float
    aborted_peak_mib: float
    """Of a first labelling during which the broker aborts a transaction."""
    restart_seconds: float
    restart_peak_mib: float
    step_ms: float
    """With 1 % of the users changed; a median, as the following values."""
    bare_fit_ms: float
    """KMeans.fit alone, on the matrices of these steps."""
    step_over_bare_fit: float
    """Step by step, on the same matrix: the number of iterations depends on it."""
    cells_step_ms: float
    """With --fit cells."""
    cells_bare_fit_ms: float
    """KMeans.fit alone, on the one-hot matrices of all users at these steps."""
    cells_step_over_bare_fit: float
    """Step by step."""


def run_large(sizes: Sequence[int], directory: Path, progress: Progress) -> str:
    """Measure and save the results; return the printed table."""
    found = []
    for n_users in sizes:
        with running_stack() as stack:
            found.append(Session(stack, n_users, progress).run())
        targets = large_targets(found)
        written = {
            "about": about(progress.seconds),
            "sizes": [asdict(each) for each in found],
            "targets": [asdict(each) | {"met": each.met} for each in targets],
        }
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "large.json").write_text(json.dumps(rounded(written), indent=1) + "\n", encoding="utf-8")
        progress.log("written: large.json")
    return "\n".join([*columns([HEAD, *map(row, found)], ()), "", *map(target_line, targets)])


class Session:
    """The measurements with one number of users, on one broker."""

    def __init__(self, stack: Stack, n_users: int, progress: Progress) -> None:
        self.stack = stack
        self.n_users = n_users
        self.progress = progress

    def run(self) -> Large:
        """Run all measurements in order, on one input."""
        self.log("writing the input")
        source = customers_input(self.stack, self.stack.new_name("aggregate"), self.n_users)
        client = Client.new(self.stack, source)
        self.log("first labels")
        first_seconds, first_peak = self.first_labels(client)
        self.log("first labels, with an aborted transaction")
        aborted_peak = self.aborted(source)
        self.log("restart")
        restart_seconds, restart_peak = one_restart(client, RUN_SECONDS)
        self.log("steps")
        step_ms, bare_fit_ms, ratio = self.steps(client)
        self.log("steps with --fit cells")
        cells_step_ms, cells_bare_fit_ms, cells_ratio = self.steps(client, "--fit", "cells")
        return Large(
            n_users=self.n_users,
            first_seconds=first_seconds,
            first_peak_mib=first_peak,
            aborted_peak_mib=aborted_peak,
            restart_seconds=restart_seconds,
            restart_peak_mib=restart_peak,
            step_ms=step_ms,
            bare_fit_ms=bare_fit_ms,
            step_over_bare_fit=ratio,
            cells_step_ms=cells_step_ms,
            cells_bare_fit_ms=cells_bare_fit_ms,
            cells_step_over_bare_fit=cells_ratio,
        )

    def log(self, what: str) -> None:
        """Log the measurement that starts."""
        self.progress.log(f"{self.n_users:,} users: {what}")

    def first_labels(self, client: Client) -> tuple[float, float]:
        """Return the seconds of the first labelling, and the peak memory in MiB."""
        log = client.log()
        usage = measure([sys.executable, CLIENT, *client.arguments("--until-end")], log, RUN_SECONDS)
        return seconds_of_first(log.read_text(encoding="utf-8")), usage.peak_mib

    def aborted(self, source: Input) -> float:
        """Suspend a client during its first labelling until its transaction is aborted; return the peak memory."""
        client = Client.new(self.stack, source)
        arguments = client.arguments()
        arguments[0] = self.short_transactions()
        with Background([sys.executable, CLIENT, *arguments], client.log()) as background:
            background.wait_until(lambda: PART in background.output, RUN_SECONDS)
            with background.paused():
                time.sleep(SHORT_TIMEOUT_SECONDS + BROKER_CHECK_SECONDS)
            background.wait_until(lambda: bool(steps_in(background.output)), RUN_SECONDS)
            peak = background.peak_mib
            background.stop()
        client.delete_output()
        return peak

    def short_transactions(self) -> Path:
        """Return a configuration file with a short transaction timeout."""
        sections = configuration.sections(self.stack.bootstrap_servers, self.stack.registry_url)
        sections["producer"]["transaction.timeout.ms"] = str(int(1000 * SHORT_TIMEOUT_SECONDS))
        return configuration.write(self.stack.directory / "short.ini", sections)

    def steps(self, client: Client, *more: str) -> tuple[float, float, float]:
        """Return medians of steps with 1 % of the users changed: milliseconds of the step, of KMeans.fit alone on the
        same table, and their ratio."""
        found = []
        with Background([sys.executable, CLIENT, *client.arguments(*more)], client.log()) as background:
            feeder = Feeder(client.source, background, RUN_SECONDS)
            feeder.change(1)  # the first step restores the state: not counted
            for _ in range(N_STEPS):
                (step,) = feeder.steps(1).values()
                fit_ms = self.bare_fit_ms(client.source)
                found.append((step.ms, fit_ms, step.ms / fit_ms))
            background.stop()
        step_ms, bare_fit_ms, ratio = (Summary.of(each).median for each in zip(*found, strict=True))
        return step_ms, bare_fit_ms, ratio

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Indices of the users in the order of user_id."""
        return np.argsort(np.array([f"{USER}{number}" for number in range(self.n_users)]))

    def bare_fit_ms(self, source: Input) -> float:
        """Return the milliseconds of KMeans.fit alone on the current table."""
        stem = self.stack.directory / self.stack.new_name("table")
        table = stem.with_suffix(".npy")
        result = stem.with_suffix(".json")
        np.save(table, np.column_stack(source.history.table())[self.order])
        command: list[str | Path] = [sys.executable, "-m", "benchmarks.programs.bare_fit", table, result]
        measure(command, stem.with_suffix(".log"), RUN_SECONDS)
        table.unlink()
        fit_ms: float = json.loads(result.read_text(encoding="utf-8"))["fit_ms"]
        return fit_ms


def seconds_of_first(log: str) -> float:
    """Return the seconds from the restore to the end of the last step with labels, from a client's log."""
    restored = RESTORED.search(log)
    labelled = [step.at for step in steps_in(log) if step.n_changes]
    if restored is None or not labelled:
        raise ValueError(f"nothing was labelled: {log[-500:]}")
    return (labelled[-1] - datetime.strptime(restored[1], TIME)).total_seconds()


def large_targets(found: Sequence[Large]) -> list[Target]:
    """Return the targets with ten million users."""
    wanted = (
        ("first labels", 100_000, True, "users/s", lambda most: most.n_users / most.first_seconds),
        ("restart until the first new label", 70.0, False, "s", lambda most: most.restart_seconds),
        ("step with 1 % changed / bare KMeans.fit", 1.2, False, "x", lambda most: most.step_over_bare_fit),
        ("step with --fit cells / bare fit", 0.25, False, "x", lambda most: most.cells_step_over_bare_fit),
        ("peak memory", 6 * 1024, False, "MiB", largest_mib),
    )
    measured = [each for each in found if each.n_users == SIZES[-1]]
    return [
        Target(f"{name}, {SIZES[-1]:,} users", limit, at_least, Summary.of(values) if values else None, unit)
        for name, limit, at_least, unit, value in wanted
        for values in [[value(each) for each in measured]]
    ]


def largest_mib(found: Large) -> float:
    """Return the largest peak memory of all runs."""
    return max(found.first_peak_mib, found.aborted_peak_mib, found.restart_peak_mib)


HEAD = (
    "users",
    "first labels",
    "peak",
    "aborted",
    "restart",
    "step",
    "bare fit",
    "ratio",
    "cells",
    "bare fit",
    "ratio",
)


def row(found: Large) -> list[str]:
    """Return one row of the table."""
    return [
        f"{found.n_users:,}",
        f"{number(found.first_seconds)} s",
        f"{number(found.first_peak_mib)} MiB",
        f"{number(found.aborted_peak_mib)} MiB",
        f"{number(found.restart_seconds)} s",
        *step_cells(found.step_ms, found.bare_fit_ms, found.step_over_bare_fit),
        *step_cells(found.cells_step_ms, found.cells_bare_fit_ms, found.cells_step_over_bare_fit),
    ]


def step_cells(step_ms: float, bare_fit_ms: float, ratio: float) -> list[str]:
    """Return the part of a row about one kind of steps."""
    return [f"{number(step_ms / 1000)} s", f"{number(bare_fit_ms / 1000)} s", number(ratio)]


def target_line(target: Target) -> str:
    """Return a target as one line."""
    measured = "-" if target.measured is None else f"{number(target.measured.median)} {target.unit}"
    sign = ">=" if target.at_least else "<="
    return f"{target.verdict:>12}  {target.name}: {measured} (target {sign} {number(target.wanted)} {target.unit})"
