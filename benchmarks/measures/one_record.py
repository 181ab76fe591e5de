"""A step per record, on the same topic: of the client with --batch-size 1, and of the original program."""

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
from benchmarks.processes import ProgramFailed, measure
from benchmarks.programs.job import Job
from benchmarks.stack import Stack
from benchmarks.steps import cycles_ms
from benchmarks.summary import Summary
from benchmarks.verification import written_labels
from tests.support.wire import LABELING_SCHEMA

CLIENT_EVENTS = 100
ORIGINAL_EVENTS = 2_000
"""More than it processes in a minute; an event is two records."""

START_SECONDS = 60.0
"""Time limit for the start of the original, and for its end."""


@dataclass(frozen=True)
class OriginalRun:
    """The original program within its time limit."""

    step_ms: Summary
    records_per_second: float
    cpu_seconds_per_million: float
    peak_mib: float


@dataclass(frozen=True)
class OneRecord:
    """Steps of one record at one number of users."""

    n_users: int
    client_cycle_ms: Summary
    """From one commit to the next, with reading and decoding."""
    client_step_ms: Summary
    """The part of fit and commit."""
    original: OriginalRun | None
    error: str = ""


def one_record(stack: Stack, n_users: int, seconds: float) -> OneRecord:
    """Measure both programs; `seconds` is the time limit of the original."""
    source = loaded_input(stack, stack.new_name("one_record"), n_users)
    cycle_ms, step_ms = client_steps(stack, source)
    write_events(source, ORIGINAL_EVENTS)
    try:
        return OneRecord(n_users, cycle_ms, step_ms, original_steps(stack, source, seconds))
    except (ProgramFailed, WrongTable) as failure:
        return OneRecord(n_users, cycle_ms, step_ms, original=None, error=str(failure))


def write_events(source: Input, n_events: int) -> None:
    """Write events of random users."""
    users = skewed_users(source.rng, source.n_users, source.n_users + n_events)[:n_events]
    source.write(source.add_events(users))


def client_steps(stack: Stack, source: Input) -> tuple[Summary, Summary]:
    """Label all users, then measure steps of one record each; return milliseconds of cycles and of steps."""
    client = Client.new(stack, source)
    client.run()
    write_events(source, CLIENT_EVENTS)
    run = client.run("--batch-size", "1", "--batch-interval", "0")
    client.check()
    steps = [step for step in run.steps if step.n_records == 1]
    if len(steps) != 2 * CLIENT_EVENTS:
        raise ProgramFailed(f"{len(steps)} steps of one record instead of {2 * CLIENT_EVENTS}")
    return Summary.of(cycles_ms(steps)), Summary.of([step.ms for step in steps])


def original_steps(stack: Stack, source: Input, seconds: float) -> OriginalRun:
    """Run the original for `seconds`, and check its output."""
    job = original_job(stack, source, seconds)
    result = Path(job.result)
    job_file = job.write(result.with_suffix(".job"))
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.programs.original", job_file]
    measure(command, result.with_suffix(".log"), seconds + START_SECONDS)
    answer: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    check_last_rows(Path(f"{job.result}.table"), source.history)
    n_labelled = len(written_labels(stack, job.output))
    if n_labelled != source.n_users:
        raise WrongTable(f"the original labelled {n_labelled} users of {source.n_users}")
    step_ms = [1000 * each for each in answer["steps"]]
    n_steps = len(step_ms)
    cpu = answer["cpu_seconds"] - answer["cpu_seconds_before"]
    return OriginalRun(
        step_ms=Summary.of(step_ms),
        records_per_second=n_steps / answer["seconds"],
        cpu_seconds_per_million=1e6 * cpu / n_steps,
        peak_mib=answer["peak_mib"],
    )


def original_job(stack: Stack, source: Input, seconds: float) -> Job:
    """Return a job with an output; register the schema of its values."""
    job = stack.job(source.topic, N_PARTITIONS, source.n_records, source.n_users, seconds)
    output = stack.new_output()
    stack.subjects.register(f"{output}-value", LABELING_SCHEMA)
    return Job(**{**vars(job), "output": output})
