"""A terminal for the client, and what it shows."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

from tests.support.client import ROOT, SCRIPT

ROWS = 24
COLUMNS = 100


def screen(written: str) -> list[str]:
    """The lines that a terminal shows: a carriage return overwrites its line."""
    lines = []
    for line in written.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def run(arguments: Sequence[str | Path]) -> tuple[int, str]:
    """Run the client until it ends, with a terminal as its standard error; return exit code and what it wrote there."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    # The controlling terminal, too: a library that asks for a password opens /dev/tty.
    with subprocess.Popen(
        command, cwd=ROOT, stdin=its, stdout=subprocess.DEVNULL, stderr=its, start_new_session=True, preexec_fn=_control
    ) as process:
        os.close(its)
        written = b"".join(iter(lambda: _read(ours), b""))
        os.close(ours)
    return process.returncode, written.decode()


def _control() -> None:
    """Make standard input the controlling terminal of this new session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read(terminal: int) -> bytes:
    """The next output; empty once the client has ended."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: the other side is closed
        return b""
