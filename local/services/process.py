"""A background process: start it in its own session, wait until it is ready, stop it, show its log."""

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
"""The range of :func:`free_port`; the ports above it are those that systems give to connections."""
STOP_SECONDS = 20.0
"""A service that has not exited this long after SIGTERM is killed."""


class ServiceError(Exception):
    """Raised when a service does not start or exits unexpectedly; the message ends in the last lines of its log."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that no program uses.

    It is below the ports that the system gives to connections: a connection could otherwise take it before the service
    starts, or during a restart.
    """
    while True:
        with closing(socket.socket()) as probe, suppress(OSError):
            port = random.randrange(*PORTS)
            probe.bind((LOOPBACK, port))
            return port


def is_listening(port: int) -> bool:
    """Return whether a program accepts connections on this port of 127.0.0.1."""
    with closing(socket.socket()) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def is_alive(process: psutil.Process) -> bool:
    """Return whether the process runs; a zombie, which only its parent can remove, does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def stop_processes(processes: Sequence[psutil.Process], seconds: float = STOP_SECONDS) -> None:
    """Send SIGTERM to all, and SIGKILL to those that still run after ``seconds``."""
    deadline = time.monotonic() + seconds
    _signal(processes, signal.SIGTERM)
    while any(is_alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    _signal(processes, signal.SIGKILL)


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it has exited in the meantime
            process.send_signal(number)


class Service(ABC):
    """A background process with a log file and a readiness check.

    It runs in a session of its own: Ctrl-C in the terminal reaches the program that started it, but not the service.
    With ``ends_with_parent``, the kernel kills it when that program dies, even by SIGKILL (Linux only).
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
        """The process id; ServiceError before the start."""
        if self._process is None:
            raise ServiceError(f"{self.name} is not started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process that was started here runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code of the process that was started here; None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the service and wait until it is ready."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start the service without waiting, so that several can start in parallel."""
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
        """Wait until the launched service is ready; ServiceError if it exits or takes too long."""
        deadline = time.monotonic() + self.ready_seconds
        while not self.is_ready():
            if not self.is_running:
                raise self.failure("exited during startup")
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready after {self.ready_seconds:.0f} s")
            time.sleep(POLL_SECONDS)

    def terminate(self) -> None:
        """Send SIGTERM without waiting."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """Stop the process gracefully; kill it if that takes too long."""
        self.terminate()
        if self._process is not None:
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Kill the process (SIGKILL), as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def failure(self, what: str) -> ServiceError:
        """Return an error of what happened, with the last lines of the log."""
        return ServiceError(f"{self.name} {what}; the last lines of {self.log_path}:\n{self.log_tail()}")

    def log_tail(self, n_lines: int = LOG_LINES_SHOWN) -> str:
        """Return the last lines of the log since the last start."""
        return "\n".join(f"  {line}" for line in self.log_since_start().splitlines()[-n_lines:])

    def log_since_start(self) -> str:
        """Return the log since the last start."""
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
        """Return the environment of the process; by default that of this program."""
        return dict(os.environ)

    def prepare(self) -> None:  # noqa: B027  (most services need none)
        """Write configuration files; called before each start."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the program and its arguments."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Return whether the service answers."""


class Startable(Protocol):
    """A service, or several that start and stop as one."""

    def launch(self) -> None:
        """Start it without waiting."""

    def wait_ready(self) -> None:
        """Wait until it is ready."""

    def terminate(self) -> None:
        """Send SIGTERM without waiting."""

    def stop(self) -> None:
        """Stop it gracefully."""


def start_all(services: Iterable[Startable]) -> None:
    """Start the services in parallel and wait until all are ready."""
    services = list(services)
    for service in services:
        service.launch()
    for service in services:
        service.wait_ready()


def stop_all(services: Iterable[Startable]) -> None:
    """Stop the services in parallel and wait until all have exited."""
    services = list(services)
    for service in services:
        service.terminate()
    for service in services:
        service.stop()
