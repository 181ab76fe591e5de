"""The current step of a client, in a byte of a memory-mapped file, which survives the client."""

import mmap
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple


class Step(IntEnum):
    """A part of the client's work."""

    START = 0
    """Imports, settings, connecting."""
    RESTORE = 1
    GATHER = 2
    FIT = 3
    PRODUCE = 4
    OFFSETS = 5
    COMMIT = 6
    BETWEEN = 7
    """In the loop, outside these steps."""


INSIDE = (Step.GATHER, Step.FIT, Step.PRODUCE, Step.OFFSETS, Step.COMMIT, Step.RESTORE)
"""The steps in which faults must happen."""
ENTRY = "entry"
EXIT = "exit"


class Aim(NamedTuple):
    """When a client signals itself: steps too short to hit from outside."""

    step: Step
    entry: int
    """Number of the entry into the step, from 1."""
    when: str
    """"entry", "exit", or seconds after the entry."""
    signal: str
    """SIGKILL or SIGSTOP."""

    def __str__(self) -> str:
        return ":".join((self.step.name, str(self.entry), self.when, self.signal))

    @classmethod
    def parse(cls, text: str) -> "Aim":
        """The reverse of str()."""
        step, entry, when, signal = text.split(":")
        return cls(Step[step], int(entry), when, signal)


class Board:
    """The file with the step."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(1))
        with path.open("r+b") as file:
            self._byte = mmap.mmap(file.fileno(), 1)

    @property
    def step(self) -> Step:
        """The step written last."""
        return Step(self._byte[0])

    @step.setter
    def step(self, step: Step) -> None:
        self._byte[0] = step
