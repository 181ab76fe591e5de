"""Processes: run to their end with their usage measured, or in the background."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
METER = Path(__file__).with_name("meter.py")
GUARD = ROOT / "local" / "services" / "guard.py"
CLIENT = ROOT / "user_classifier.py"
BARE = ("-S", "-E")
"""Options of Python without site packages, for processes that only start another."""

PAUSE_SECONDS = 0.02
STOP_SECONDS = 60.0
SHOWN_CHARACTERS = 1500
"""Of a log in a message, from the end."""


class ProgramFailed(Exception):
    """Raised when a process fails or takes too long; the message ends with its output."""


@dataclass(frozen=True)
class Usage:
    """Time, CPU time and peak memory of a run."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    began: float = 0.0
    """Start time on the monotonic clock."""


def environment() -> dict[str, str]:
    """Return the environment of all processes, without settings of OpenBLAS for a certain processor."""
    return {name: value for name, value in os.environ.items() if name not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}


def measure(command: Sequence[str | Path], log: Path, timeout: float, code: int = 0) -> Usage:
    """Run a command to its end and return its usage; ProgramFailed for another exit code or after `timeout` seconds."""
    result = log.with_suffix(".usage")
    metered = [sys.executable, *BARE, str(METER), str(result), *map(str, command)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            metered, cwd=ROOT, env=environment(), stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        found = process.wait(timeout)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)  # only the command is in this session
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise ProgramFailed(f"did not end in {timeout:.0f} s; {tail(log)}") from None
        raise
    if found != code:
        raise ProgramFailed(f"exit code {found}; {tail(log)}")
    usage = json.loads(result.read_text(encoding="utf-8"))
    return Usage(usage["seconds"], usage["cpu_seconds"], usage["peak_mib"], usage["began"])


def tail(log: Path) -> str:
    """Return the end of a log, for a message."""
    return "its output: ..." + log.read_text(encoding="utf-8", errors="replace")[-SHOWN_CHARACTERS:]


class Background:
    """A process in the background; it is killed at the end of the `with` block."""

    def __init__(self, command: Sequence[str | Path], log: Path) -> None:
        self.log = log
        guarded = [sys.executable, *BARE, str(GUARD), str(os.getpid()), *map(str, command)]
        with log.open("wb") as out:
            self._process = subprocess.Popen(guarded, cwd=ROOT, env=environment(), stdout=out, stderr=subprocess.STDOUT)

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def output(self) -> str:
        """Its output so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def peak_mib(self) -> float:
        """Its peak memory so far: the largest resident set size."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Suspend the process inside the `with` block."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Send SIGTERM and wait; ProgramFailed unless the exit code is 0."""
        self._process.terminate()
        if self._process.wait(STOP_SECONDS):
            raise ProgramFailed(f"exit code {self._process.returncode}; {tail(self.log)}")

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> None:
        """Poll a condition until it is true; ProgramFailed if the process ends before or after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not condition():
            if self._process.poll() is not None:
                raise ProgramFailed(f"ended with exit code {self._process.returncode}; {tail(self.log)}")
            if time.monotonic() > deadline:
                raise ProgramFailed(f"not ready after {timeout:.0f} s; {tail(self.log)}")
            time.sleep(PAUSE_SECONDS)
