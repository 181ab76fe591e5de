"""Run a command and write its time, CPU time and peak memory as JSON: meter.py RESULT PROGRAM ARGUMENTS...

This is a separate small process because Linux counts the memory of a parent at the fork as the child's peak. It needs
only the standard library. When the benchmark ends, the kernel kills it, and with it the command.
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
    """Run the command; return its exit code."""
    result, *command = sys.argv[1:]
    end_with_parent()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        end_with_parent()
        os.execv(command[0], command)
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - began
    usage_of_run = {"began": began, "seconds": seconds, "cpu_seconds": usage.ru_utime + usage.ru_stime}
    Path(result).write_text(json.dumps({**usage_of_run, "peak_mib": usage.ru_maxrss / 1024}), encoding="utf-8")
    return abs(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    sys.exit(main())
