"""Clients to disturb: their current step is known, they can signal themselves, and they end with the test."""

import itertools
from pathlib import Path

import psutil

from tests.faults.steps import Aim, Board, Step
from tests.support.client import ROOT, Client
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

TRACED = ROOT / "tests" / "faults" / "traced.py"


class TracedClient(Client):
    """A client in the background that records its step."""

    def __init__(self, pipeline: Pipeline, name: str, *more: str, aim: Aim | None = None) -> None:
        self._log = pipeline.directory / f"{name}.log"
        self.board = Board(pipeline.directory / f"{name}.step")
        traced = [str(pipeline.directory / f"{name}.step"), str(aim or "none")]
        super().__init__([*traced, *pipeline.arguments("--batch-interval", "0.1", *more)], self._log, TRACED)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def n_written(self) -> int:
        """Number of bytes in its log."""
        return self._log.stat().st_size

    @property
    def step(self) -> Step:
        """Its current step, or the last one if it has ended."""
        return self.board.step

    @property
    def stopped(self) -> bool:
        """Whether SIGSTOP holds it."""
        return self.running and psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED

    def wait_until_stopped(self) -> None:
        """Wait until it has stopped itself."""
        wait_until(lambda: self.stopped or not self.running, "the client to stop itself")
        if not self.stopped:
            raise AssertionError(f"the client ended with {self.wait()} before it stopped itself:\n{self.output}")


class Clients:
    """Starts the clients of one pipeline, each with its own log; leaving the block kills them."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._numbers = itertools.count(1)
        self.all: list[TracedClient] = []

    def __enter__(self) -> "Clients":
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.all:
            client.kill()

    def start(self, *more: str, aim: Aim | None = None) -> TracedClient:
        """Start another client."""
        client = TracedClient(self._pipeline, f"client_{next(self._numbers)}", *more, aim=aim)
        self.all.append(client)
        return client


def log_paths(directory: Path) -> list[Path]:
    """The logs of all clients of a pipeline."""
    return sorted(directory.glob("client_*.log"))
