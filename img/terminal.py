"""A terminal without a window: it runs a program, types text and keeps the screen."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pexpect
import pyte

POLL_SECONDS = 0.1
READ_BYTES = 65_536
MAKE_VARIABLES = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")
"""Removed from the environment: a `make` started under `make img` would run as a sub-make and print its directories."""


class TerminalError(Exception):
    """Raised when the program ends early or a screen does not appear in time; the message ends with the screen."""


class Terminal:
    """A program on a screen of `n_columns` and `n_rows`; it is killed at the end of the `with` block."""

    def __init__(self, command: Sequence[str], directory: Path, n_columns: int, n_rows: int) -> None:
        self.screen = pyte.Screen(n_columns, n_rows)
        self._stream = pyte.ByteStream(self.screen)
        environment = {name: value for name, value in os.environ.items() if name not in MAKE_VARIABLES}
        self._child = pexpect.spawn(
            command[0],
            list(command[1:]),
            cwd=str(directory),
            dimensions=(n_rows, n_columns),
            env={**environment, "TERM": "xterm-256color", "COLUMNS": str(n_columns), "LINES": str(n_rows), "PS1": "$ "},
        )

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close(force=True)

    @property
    def lines(self) -> list[str]:
        """The lines of the screen without trailing spaces."""
        return [line.rstrip() for line in self.screen.display]

    def type(self, text: str) -> None:
        """Type a line and press Enter."""
        self._child.send(f"{text}\r")

    def press(self, key: str) -> None:
        """Press a key, such as `Q`, or `^C` for Ctrl-C."""
        if key.startswith("^"):
            self._child.sendcontrol(key[1:].lower())
        else:
            self._child.send(key)

    def wait(self, is_shown: Callable[[list[str]], bool], seconds: float) -> None:
        """Read the output until `is_shown` is true of the screen's lines; TerminalError after `seconds`."""
        deadline = time.monotonic() + seconds
        while not is_shown(self.lines):
            if time.monotonic() > deadline:
                raise TerminalError(self._message(f"after {seconds:.0f} s the screen is not as expected"))
            if not self._read():
                if is_shown(self.lines):
                    return
                raise TerminalError(self._message("the program has ended"))

    def settle(self, quiet_seconds: float, seconds: float) -> None:
        """Read the output until the screen has not changed for `quiet_seconds`; TerminalError after `seconds`."""
        last = self.lines
        since = time.monotonic()
        deadline = since + seconds
        while time.monotonic() < since + quiet_seconds:
            if time.monotonic() > deadline:
                raise TerminalError(self._message(f"after {seconds:.0f} s the screen still changes"))
            if not self._read():
                return
            if self.lines != last:
                last = self.lines
                since = time.monotonic()

    def watch(self, seconds: float) -> None:
        """Read the output for some seconds, or to the end of the program."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._read():
            pass

    def _read(self) -> bool:
        """Read new output; return False once the program has ended."""
        try:
            self._stream.feed(self._child.read_nonblocking(READ_BYTES, POLL_SECONDS))
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        return True

    def _message(self, what: str) -> str:
        return "\n".join([f"{self._child.command}: {what}:", *self.lines]).rstrip()
