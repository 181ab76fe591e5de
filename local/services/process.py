"""One background process: start it in its own session, wait until it is ready, end it, show its log."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol

import psutil

LOOPBACK = "127.0.0.1"
LOG_LINES_SHOWN = 20
POLL_SECONDS = 0.1
PORTS = 10_000, 32_768
"""From which free ones are taken; above them, systems begin to number connections."""
STOP_SECONDS = 20.0
"""How long a service may take to end after SIGTERM; then it is killed."""


class ServiceError(Exception):
    """A service did not start, or ended by itself. The message names it and ends in the last lines of its log."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at the moment.

    It is none of those that the system gives to connections: one of them could take it before the service does, or
    while the service is restarted.
    """
    while True:
        with closing(socket.socket()) as probe, suppress(OSError):
            port = random.randrange(*PORTS)
            probe.bind((LOOPBACK, port))
            return port


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections on this port of 127.0.0.1."""
    with closing(socket.socket()) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs: a zombie, which only its parent can remove, does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def end_processes(processes: Sequence[psutil.Process], seconds: float = STOP_SECONDS) -> None:
    """SIGTERM to all, then SIGKILL to those that are still there after ``seconds``."""
    deadline = time.monotonic() + seconds
    _signal(processes, signal.SIGTERM)
    while any(is_alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    _signal(processes, signal.SIGKILL)


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        # Gone in the meantime: what was wanted.
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


class Service(ABC):
    """A background process with a log file and a way to know that it is ready.

    It runs in its own session, so a Ctrl-C in the terminal reaches the program that started it and not the service.
    With ``ends_with_parent`` the kernel ends it when that program dies, even by SIGKILL (Linux only).
    """

    name: str
    ready_seconds = 90.0

    def __init__(self, directory: Path, ends_with_parent: bool = True) -> None:
        self.directory = directory
        self.log_path = directory / f"{self.name}.log"
        self._ends_with_parent = ends_with_parent
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The process's id; ServiceError unless started."""
        if self._process is None:
            raise ServiceError(f"{self.name} is not started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process started here is still there."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """With what the process started here has ended; None if it has not."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start and block until the service answers."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start without waiting, so that several services can come up side by side."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.prepare()
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._guarded(self.command()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=self.environment(),
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Block until the launched service answers."""
        deadline = time.monotonic() + self.ready_seconds
        while not self.is_ready():
            if not self.is_running:
                raise self.failure("ended while starting")
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready after {self.ready_seconds:.0f} s")
            time.sleep(POLL_SECONDS)

    def terminate(self) -> None:
        """Ask the process to end, and do not wait."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """End the process in good order."""
        self.terminate()
        if self._process is not None:
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End the process at once, as a power cut would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def failure(self, what: str) -> ServiceError:
        """The error that says what happened and shows the end of the log."""
        return ServiceError(f"{self.name} {what}; the last lines of {self.log_path}:\n{self.log_tail()}")

    def log_tail(self, n_lines: int = LOG_LINES_SHOWN) -> str:
        """The last lines of the log, since this start."""
        return "\n".join(f"  {line}" for line in self.log_since_start().splitlines()[-n_lines:])

    def log_since_start(self) -> str:
        """What the service has written since it was started last."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", "replace")

    def _guarded(self, command: Sequence[str]) -> list[str]:
        if self._ends_with_parent and sys.platform == "linux":
            guard = Path(__file__).with_name("guard.py")
            return [sys.executable, "-S", "-E", str(guard), str(os.getpid()), *command]
        return list(command)

    def environment(self) -> dict[str, str]:
        """The process's environment: ours, unless a service needs more."""
        return dict(os.environ)

    def prepare(self) -> None:  # noqa: B027  (nothing to do is the rule)
        """Write configuration files; called before every start."""

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the service answers."""


class Startable(Protocol):
    """A service, or several as one."""

    def launch(self) -> None:
        """Start without waiting."""

    def wait_ready(self) -> None:
        """Block until it answers."""

    def terminate(self) -> None:
        """Ask it to end, and do not wait."""

    def stop(self) -> None:
        """End it in good order."""


def start_all(services: Iterable[Startable]) -> None:
    """Start side by side; block until all are ready."""
    services = list(services)
    for service in services:
        service.launch()
    for service in services:
        service.wait_ready()


def stop_all(services: Iterable[Startable]) -> None:
    """Stop side by side; block until all have ended."""
    services = list(services)
    for service in services:
        service.terminate()
    for service in services:
        service.stop()
