"""Become a program that the kernel kills when the parent process exits: guard.py PARENT_PID PROGRAM ARGUMENTS...

This is a separate program because a ``preexec_fn`` is unsafe in a parent with threads. Linux only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Request the signal, exit if the parent died before that, and execute the program."""
    parent, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
