"""The client, run from its command line on one input, and a check of its labels."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.inputs import Input
from benchmarks.processes import CLIENT, Usage, measure
from benchmarks.stack import Stack
from benchmarks.steps import Step, steps_in
from benchmarks.verification import Labelled, check_labels, expected_labels

RUN_SECONDS = 300.0
"""Time limit of a run."""


@dataclass(frozen=True)
class Run:
    """The result of one run to the end of the input."""

    usage: Usage
    steps: list[Step]


@dataclass(frozen=True)
class Client:
    """A client with an input, an output and a consumer group."""

    stack: Stack
    source: Input
    group: str
    output: str

    @classmethod
    def new(cls, stack: Stack, source: Input) -> Client:
        """Return a client with a new group and a new output."""
        return cls(stack, source, stack.new_name("group"), stack.new_output())

    def arguments(self, *more: str) -> list[str | Path]:
        """Return the arguments of its command line."""
        topics = ["-t", self.source.topic, "-g", self.group, "-o", self.output]
        return [self.stack.configuration(), *topics, *more]

    def log(self) -> Path:
        """Return the path of a new log file."""
        return self.stack.directory / f"{self.stack.new_name('client')}.log"

    def run(self, *more: str) -> Run:
        """Run the client to the end of the input."""
        log = self.log()
        usage = measure([sys.executable, CLIENT, *self.arguments("--until-end", *more)], log, RUN_SECONDS)
        return Run(usage, steps_in(log.read_text(encoding="utf-8")))

    def check(self, expected: Labelled | None = None) -> None:
        """Raise WrongTable unless the output holds the expected labels, by default those of the whole input."""
        check_labels(self.stack, self.output, expected or expected_labels(self.source.history.rows()))

    def delete_output(self) -> None:
        """Delete the output topic."""
        self.stack.topics.delete(self.output)
