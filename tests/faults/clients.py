"""Clients to be struck: processes whose step is known, that can strike themselves, and that never outlive the test."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests.faults.steps import Aim, Board, Step
from tests.support.client import ROOT, Client
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

GUARD = ROOT / "local" / "services" / "guard.py"


class TracedClient(Client):
    """A client in the background that writes down its step."""

    def __init__(self, pipeline: Pipeline, name: str, *more: str, aim: Aim | None = None) -> None:
        self._log = pipeline.directory / f"{name}.log"
        self.board = Board(pipeline.directory / f"{name}.step")
        traced = [sys.executable, "-u", "-m", "tests.faults.traced", str(pipeline.directory / f"{name}.step")]
        command = [*_guard(), *traced, str(aim or "none"), *pipeline.arguments("--batch-interval", "0.1", *more)]
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def n_written(self) -> int:
        """Number of bytes it has written."""
        return self._log.stat().st_size

    @property
    def step(self) -> Step:
        """Its step; after its death, the one it died in."""
        return self.board.step

    @property
    def stopped(self) -> bool:
        """Whether SIGSTOP holds it."""
        return self.running and psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED

    def wait_until_stopped(self) -> None:
        """Wait until it has stopped itself."""
        wait_until(lambda: self.stopped or not self.running, "the client to stop itself")
        if not self.stopped:
            raise AssertionError(f"the client ended with {self.wait()} before it was to stop itself:\n{self.output}")


def _guard() -> list[str]:
    """What goes before a command that is to end with this process, whatever ends this."""
    return [sys.executable, "-S", "-E", str(GUARD), str(os.getpid())] if sys.platform == "linux" else []


class Clients:
    """Starts the clients of one pipeline, each with a log of its own; leaving the block kills what is left."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline, self._numbers = pipeline, itertools.count(1)
        self.all: list[TracedClient] = []

    def __enter__(self) -> "Clients":
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.all:
            client.kill()

    def start(self, *more: str, aim: Aim | None = None) -> TracedClient:
        """Start one more."""
        client = TracedClient(self._pipeline, f"client_{next(self._numbers)}", *more, aim=aim)
        self.all.append(client)
        return client


def log_paths(directory: Path) -> list[Path]:
    """The logs of all clients of a pipeline."""
    return sorted(directory.glob("client_*.log"))
