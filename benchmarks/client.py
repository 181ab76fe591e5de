"""The client as its user has it, on one input: its command line, its runs, and the labels it leaves."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.inputs import Input
from benchmarks.programs import CLIENT, Usage, measure
from benchmarks.stack import Stack
from benchmarks.steps import Step, steps_in
from benchmarks.verification import Labelled, check_labels, expected_labels

RUN_SECONDS = 300.0
"""A run that takes longer has failed."""


@dataclass(frozen=True)
class Run:
    """One run to the end of the input."""

    usage: Usage
    steps: list[Step]


@dataclass(frozen=True)
class Client:
    """One job: an input, an output and a group."""

    stack: Stack
    source: Input
    group: str
    output: str

    @classmethod
    def new(cls, stack: Stack, source: Input) -> Client:
        """A client that has never run."""
        return cls(stack, source, stack.new_name("group"), stack.new_output())

    def arguments(self, *more: str) -> list[str | Path]:
        """Its command line, behind the name of the program."""
        where = ["-t", self.source.topic, "-g", self.group, "-o", self.output]
        return [self.stack.configuration(), *where, *more]

    def log(self) -> Path:
        """A new file for what it writes."""
        return self.stack.directory / f"{self.stack.new_name('client')}.log"

    def run(self, *more: str) -> Run:
        """Run it until the end of the input."""
        log = self.log()
        usage = measure([sys.executable, CLIENT, *self.arguments("--until-end", *more)], log, RUN_SECONDS)
        return Run(usage, steps_in(log.read_text(encoding="utf-8")))

    def check(self, expected: Labelled | None = None) -> None:
        """Raise WrongTable unless the labels are those of the whole input, or as expected."""
        check_labels(self.stack, self.output, expected or expected_labels(self.source.history.rows()))

    def forget(self) -> None:
        """Remove the output."""
        self.stack.topics.delete(self.output)
