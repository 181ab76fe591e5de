"""How fast the client prints --help and a configuration error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import CLIENT, measure
from benchmarks.stack import Stack
from benchmarks.summary import Summary

ANSWER_SECONDS = 30.0
USAGE_OR_CONFIGURATION = 2
"""Exit code."""

INCOMPLETE = CLIENT.parent / "configurations" / "configuration.ini"


@dataclass(frozen=True)
class StartUp:
    """Seconds of the whole process."""

    help: Summary
    configuration_error: Summary


def start_up(stack: Stack, n_runs: int) -> StartUp:
    """Measure `n_runs` of each."""
    seconds: dict[str, list[float]] = {"help": [], "error": []}
    for _ in range(n_runs):
        seconds["help"].append(answer(stack, ["--help"], 0))
        seconds["error"].append(answer(stack, [INCOMPLETE], USAGE_OR_CONFIGURATION))
    return StartUp(Summary.of(seconds["help"]), Summary.of(seconds["error"]))


def answer(stack: Stack, arguments: Sequence[str | Path], code: int) -> float:
    """Return the seconds of one run."""
    log = stack.directory / f"{stack.new_name('answer')}.log"
    return measure([sys.executable, CLIENT, *arguments], log, ANSWER_SECONDS, code).seconds
