"""Python scripts in the background, forked from a process that has imported the client and scikit-learn before.

A start takes a tenth of the CPU time of a new interpreter. A script sees a process as it is otherwise: arguments,
environment, standard streams, signals, and its own name as __main__.
"""

import ctypes
import io
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PRELOADED = ["user_classifier", "sklearn.cluster", "threadpoolctl", "scipy.sparse"]
PR_SET_PDEATHSIG = 1
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(PRELOADED)


class ForkedScript:
    """A script that runs in the background; it has the methods of subprocess.Popen that tests use."""

    def __init__(self, script: Path, arguments: Sequence[str], folder: Path, log: Path) -> None:
        given = (str(script), list(arguments), str(folder), dict(os.environ), str(log))
        self._process = SERVER.Process(target=_run, args=given)
        self._process.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return int(self._process.pid or 0)

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code; subprocess.TimeoutExpired if it takes longer."""
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired("a forked script", timeout or 0.0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)


def _run(script: str, arguments: list[str], folder: str, environment: dict[str, str], log: str) -> None:
    """Run a script in this new process, as `python -u` does, with its output in a log."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # the server, which ends with the tests
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for number in (1, 2):
        os.dup2(descriptor, number)
    sys.stdout = _unbuffered(1)
    sys.stderr = _unbuffered(2)
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


def _unbuffered(descriptor: int) -> io.TextIOWrapper:
    raw = open(descriptor, "wb", buffering=0, closefd=False)  # noqa: SIM115  open as long as the process
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)
