"""How far one process goes: first labels, restart, steps and memory with so many users, in a file of its own."""

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
from benchmarks.lines.job import USER
from benchmarks.measures.changed_users import Feeder
from benchmarks.measures.restart import one_restart
from benchmarks.plan import MANY_USERS
from benchmarks.programs import CLIENT, Background, measure
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
"""A run that takes longer has failed."""

SHORT_TIMEOUT_SECONDS = 4.0
"""transaction.timeout.ms of the client that is held up in the middle of its first labelling."""

BROKER_LOOKS_SECONDS = 10.0
"""How often a broker looks for transactions that have timed out."""

RESTORED = re.compile(r"^(\S+ \S+) INFO .* users restored", re.MULTILINE)
PART = "labels are committed, more follow"


@dataclass(frozen=True)
class Large:
    """What was measured with one number of users."""

    n_users: int
    first_seconds: float
    """From the first record read to the last label committed."""
    first_peak_mib: float
    aborted_peak_mib: float
    """Of a first labelling of which a transaction was aborted in the middle."""
    restart_seconds: float
    restart_peak_mib: float
    step_ms: float
    """With 1 % of the users changed; a median, as what follows."""
    bare_fit_ms: float
    """KMeans.fit alone, on the matrices of these steps."""
    step_over_bare_fit: float
    """Step by step, on the same matrix: how many rounds a fit takes depends on it."""
    cells_step_ms: float
    """With --fit cells."""
    cells_bare_fit_ms: float
    """KMeans.fit alone, on the matrices of all users at these steps."""
    cells_step_over_bare_fit: float
    """Step by step."""


def run_large(sizes: Sequence[int], directory: Path, progress: Progress) -> str:
    """Measure, save; return what is to be printed."""
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
        progress.say("written: large.json")
    return "\n".join([*columns([HEAD, *map(cells, found)], ()), "", *map(target_line, targets)])


class Session:
    """One number of users, on a broker of its own."""

    def __init__(self, stack: Stack, n_users: int, progress: Progress) -> None:
        self.stack, self.n_users, self.progress = stack, n_users, progress

    def run(self) -> Large:
        """Everything in order, on one input."""
        self.say("writing the input")
        source = customers_input(self.stack, self.stack.new_name("aggregate"), self.n_users)
        client = Client.new(self.stack, source)
        self.say("first labels")
        first_seconds, first_peak = self.first_labels(client)
        self.say("first labels, with a transaction aborted in the middle")
        aborted_peak = self.aborted(source)
        self.say("restart")
        restart_seconds, restart_peak = one_restart(client, RUN_SECONDS)
        self.say("steps")
        steps = self.steps(client)
        self.say("steps with --fit cells")
        on_cells = self.steps(client, "--fit", "cells")
        restart = restart_seconds, restart_peak
        return Large(self.n_users, first_seconds, first_peak, aborted_peak, *restart, *steps, *on_cells)

    def say(self, what: str) -> None:
        """Tell what comes next."""
        self.progress.say(f"{self.n_users:,} users: {what}")

    def first_labels(self, client: Client) -> tuple[float, float]:
        """Seconds, and the largest resident size in MiB."""
        log = client.log()
        usage = measure([sys.executable, CLIENT, *client.arguments("--until-end")], log, RUN_SECONDS)
        return seconds_of_first(log.read_text(encoding="utf-8")), usage.peak_mib

    def aborted(self, source: Input) -> float:
        """Hold a client up in the middle of its first labelling until the broker has aborted a transaction."""
        client = Client.new(self.stack, source)
        arguments = client.arguments()
        arguments[0] = self.short_transactions()
        with Background([sys.executable, CLIENT, *arguments], client.log()) as background:
            background.wait_until(lambda: PART in background.output, RUN_SECONDS)
            with background.paused():
                time.sleep(SHORT_TIMEOUT_SECONDS + BROKER_LOOKS_SECONDS)
            background.wait_until(lambda: bool(steps_in(background.output)), RUN_SECONDS)
            peak = background.peak_mib
            background.stop()
        client.forget()
        return peak

    def short_transactions(self) -> Path:
        """The client's file, with transactions that are soon too long."""
        sections = configuration.sections(self.stack.bootstrap_servers, self.stack.registry_url)
        sections["producer"]["transaction.timeout.ms"] = str(int(1000 * SHORT_TIMEOUT_SECONDS))
        return configuration.write(self.stack.directory / "short.ini", sections)

    def steps(self, client: Client, *more: str) -> tuple[float, float, float]:
        """Milliseconds of a step with 1 % of the users changed and of KMeans.fit alone on that table; one over the
        other. Medians."""
        found = []
        with Background([sys.executable, CLIENT, *client.arguments(*more)], client.log()) as background:
            feeder = Feeder(client.source, background, RUN_SECONDS)
            feeder.change(1)  # the first step brings the state back: not counted
            for _ in range(N_STEPS):
                (step,) = feeder.steps(1).values()
                fit_ms = self.bare_fit_ms(client.source)
                found.append((step.ms, fit_ms, step.ms / fit_ms))
            background.stop()
        step_ms, bare_fit_ms, ratio = (Summary.of(each).median for each in zip(*found, strict=True))
        return step_ms, bare_fit_ms, ratio

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Where users lie in the order of user_id."""
        return np.argsort(np.array([f"{USER}{number}" for number in range(self.n_users)]))

    def bare_fit_ms(self, source: Input) -> float:
        """Milliseconds of the bare fit on the table as it is."""
        stem = self.stack.directory / self.stack.new_name("table")
        table, result = stem.with_suffix(".npy"), stem.with_suffix(".json")
        np.save(table, np.column_stack(source.history.table())[self.order])
        command: list[str | Path] = [sys.executable, "-m", "benchmarks.lines.bare_fit", table, result]
        measure(command, stem.with_suffix(".log"), RUN_SECONDS)
        table.unlink()
        fit_ms: float = json.loads(result.read_text(encoding="utf-8"))["fit_ms"]
        return fit_ms


def seconds_of_first(log: str) -> float:
    """Seconds from the first record read to the end of the last step that wrote labels; from a client's log."""
    restored = RESTORED.search(log)
    wrote = [step.at for step in steps_in(log) if step.n_changes]
    if restored is None or not wrote:
        raise ValueError(f"nothing was labelled: {log[-500:]}")
    return (wrote[-1] - datetime.strptime(restored[1], TIME)).total_seconds()


def large_targets(found: Sequence[Large]) -> list[Target]:
    """What is wanted with ten million users."""
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
    """The largest memory of all runs."""
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


def cells(found: Large) -> list[str]:
    """One row of the table."""
    on_users = in_steps(found.step_ms, found.bare_fit_ms, found.step_over_bare_fit)
    on_cells = in_steps(found.cells_step_ms, found.cells_bare_fit_ms, found.cells_step_over_bare_fit)
    memory = [f"{number(each)} MiB" for each in (found.first_peak_mib, found.aborted_peak_mib)]
    first, restart = f"{number(found.first_seconds)} s", f"{number(found.restart_seconds)} s"
    return [f"{found.n_users:,}", first, *memory, restart, *on_users, *on_cells]


def in_steps(step_ms: float, bare_fit_ms: float, ratio: float) -> list[str]:
    """What the table says of steps of one kind."""
    return [f"{number(step_ms / 1000)} s", f"{number(bare_fit_ms / 1000)} s", number(ratio)]


def target_line(target: Target) -> str:
    """One target in a line."""
    measured = "-" if target.measured is None else f"{number(target.measured.median)} {target.unit}"
    sign = ">=" if target.at_least else "<="
    return f"{target.verdict:>12}  {target.name}: {measured} (wanted {sign} {number(target.wanted)} {target.unit})"
