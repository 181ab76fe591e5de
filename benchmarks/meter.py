"""Run a command and write down what it took: meter.py RESULT PROGRAM ARGUMENTS...

A small program of its own, since Linux counts the memory of the process that starts another as the other's peak.
Standard library only; the kernel ends it, and it the command, when the benchmark is gone.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends (Linux only)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    """Return the command's exit code."""
    result, *command = sys.argv[1:]
    end_with_parent()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        end_with_parent()
        os.execv(command[0], command)
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - began
    taken = {"began": began, "seconds": seconds, "cpu_seconds": usage.ru_utime + usage.ru_stime}
    Path(result).write_text(json.dumps({**taken, "peak_mib": usage.ru_maxrss / 1024}), encoding="utf-8")
    return abs(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    sys.exit(main())
