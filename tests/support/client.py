"""The client in a separate process: run to its end as a user starts it, or in the background."""

import resource
import signal
import subprocess
import sys
from collections.abc import Container, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.support.forked import ForkedScript
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "user_classifier.py"
TIMEOUT_S = 60.0


class Finished(NamedTuple):
    """The result of a run."""

    code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """Everything written."""
        return self.stdout + self.stderr


def run(arguments: Sequence[str | Path], timeout_s: float = TIMEOUT_S, cwd: Path = ROOT) -> Finished:
    """Run the client until it exits."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False)
    return Finished(done.returncode, done.stdout, done.stderr)


class Client:
    """A client in the background; leaving the block kills it."""

    def __init__(self, arguments: Sequence[str | Path], log: Path, script: Path = SCRIPT) -> None:
        self._log = log
        log.touch()
        self._process = ForkedScript(script, [*map(str, arguments)], ROOT, log)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def output(self) -> str:
        """Everything written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def is_connected_to(self, ports: Container[int]) -> bool:
        """Whether it has a connection to one of these ports."""
        found = psutil.Process(self._process.pid).net_connections("tcp") if self.running else []
        return any(each.raddr and each.raddr.port in ports for each in found)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait, and return the exit code."""
        self._process.send_signal(number)
        return self.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal without waiting."""
        self._process.send_signal(number)

    def limit_open_files(self, number: int) -> None:
        """Let it open no more files than that, connections included."""
        resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (number, number))

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """Wait until it exits; return the exit code."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the client did not end in {timeout_s} s; it wrote:\n{self.output}") from None

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait()

    def wait_for_output(self, text: str, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until it has written this text."""
        wait_until(lambda: text in self.output or not self.running, f"the client to write {text!r}", timeout_s)
        if text not in self.output:
            raise AssertionError(f"the client ended with {self.wait()} and never wrote {text!r}:\n{self.output}")
