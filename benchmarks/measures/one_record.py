"""One step: one record changed, fit, written. The client with --batch-size 1, and the original, on the same topic."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.client import Client
from benchmarks.history import skewed_users
from benchmarks.inputs import N_PARTITIONS, Input, loaded_input
from benchmarks.last_rows import WrongTable, check_last_rows
from benchmarks.lines.job import Job
from benchmarks.programs import ProgramFailed, measure
from benchmarks.stack import Stack
from benchmarks.steps import cycles_ms
from benchmarks.summary import Summary
from benchmarks.verification import written_labels
from tests.support.wire import LABELING_SCHEMA

CLIENT_EVENTS = 100
ORIGINAL_EVENTS = 2_000
"""More than it comes to in a minute; an event makes two records."""

START_SECONDS = 60.0


@dataclass(frozen=True)
class OriginalRun:
    """The original until its time was up."""

    step_ms: Summary
    records_per_second: float
    cpu_seconds_per_million: float
    peak_mib: float


@dataclass(frozen=True)
class OneRecord:
    """Steps of one record at one number of users."""

    n_users: int
    client_cycle_ms: Summary
    """From label committed to next label committed, with reading and decoding."""
    client_step_ms: Summary
    """Of this, fit and commit."""
    original: OriginalRun | None
    error: str = ""


def one_record(stack: Stack, n_users: int, seconds: float) -> OneRecord:
    """Measure both; `seconds` bounds the original."""
    source = loaded_input(stack, stack.new_name("one_record"), n_users)
    cycle, step = client_steps(stack, source)
    act(source, ORIGINAL_EVENTS)
    try:
        original, error = original_steps(stack, source, seconds), ""
    except (ProgramFailed, WrongTable) as failure:
        original, error = None, str(failure)
    return OneRecord(n_users, cycle, step, original, error)


def act(source: Input, n_events: int) -> None:
    """Let users spend."""
    users = skewed_users(source.rng, source.n_users, source.n_users + n_events)[:n_events]
    source.write(source.spend(users))


def client_steps(stack: Stack, source: Input) -> tuple[Summary, Summary]:
    """Label all users, then take each further record as a step of its own."""
    client = Client.new(stack, source)
    client.run()
    act(source, CLIENT_EVENTS)
    run = client.run("--batch-size", "1", "--batch-interval", "0")
    client.check()
    steps = [step for step in run.steps if step.n_records == 1]
    if len(steps) != 2 * CLIENT_EVENTS:
        raise ProgramFailed(f"{len(steps)} steps of one record instead of {2 * CLIENT_EVENTS}")
    return Summary.of(cycles_ms(steps)), Summary.of([step.ms for step in steps])


def original_steps(stack: Stack, source: Input, seconds: float) -> OriginalRun:
    """Run the original until its time is up, and check what it wrote."""
    job = original_job(stack, source, seconds)
    result = Path(job.result)
    given = job.write(result.with_suffix(".job"))
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.lines.original", given]
    measure(command, result.with_suffix(".log"), seconds + START_SECONDS)
    answer: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    check_last_rows(Path(f"{job.result}.table"), source.history)
    n_labelled = len(written_labels(stack, job.output))
    if n_labelled != source.n_users:
        raise WrongTable(f"the original labelled {n_labelled} users of {source.n_users}")
    step_ms = [1000 * each for each in answer["steps"]]
    n_steps = len(step_ms)
    cpu = answer["cpu_seconds"] - answer["cpu_seconds_before"]
    return OriginalRun(Summary.of(step_ms), n_steps / answer["seconds"], 1e6 * cpu / n_steps, answer["peak_mib"])


def original_job(stack: Stack, source: Input, seconds: float) -> Job:
    """A job with an output and its schema."""
    job = stack.job(source.topic, N_PARTITIONS, source.n_records, source.n_users, seconds)
    output = stack.new_output()
    stack.subjects.register(f"{output}-value", LABELING_SCHEMA)
    return Job(**{**vars(job), "output": output})
