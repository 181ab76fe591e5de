"""A terminal without a window: runs a program in it, types, and knows what its screen shows."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pexpect
import pyte

POLL_SECONDS = 0.1
READ_BYTES = 65_536
NOT_FOR_THE_PROGRAM = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")
"""Left out of its environment: under `make img`, a `make` would take itself for a part of it, and talk of that."""


class TerminalError(Exception):
    """The program ended, or its screen does not show what was waited for; the message ends in the screen."""


class Terminal:
    """Runs ``command`` on a screen of so many columns and rows; ends it when left."""

    def __init__(self, command: Sequence[str], directory: Path, n_columns: int, n_rows: int) -> None:
        self.screen = pyte.Screen(n_columns, n_rows)
        self._stream = pyte.ByteStream(self.screen)
        environment = {name: value for name, value in os.environ.items() if name not in NOT_FOR_THE_PROGRAM}
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
        """What the screen shows, line by line."""
        return [line.rstrip() for line in self.screen.display]

    def type(self, text: str) -> None:
        """Type a line and press Enter."""
        self._child.send(f"{text}\r")

    def press(self, key: str) -> None:
        """Press a key, such as Q; with Ctrl held down if it is written ^C."""
        if key.startswith("^"):
            self._child.sendcontrol(key[1:].lower())
        else:
            self._child.send(key)

    def wait(self, is_shown: Callable[[list[str]], bool], seconds: float) -> None:
        """Follow the program until ``is_shown`` says yes to the screen's lines."""
        deadline = time.monotonic() + seconds
        while not is_shown(self.lines):
            if time.monotonic() > deadline:
                raise TerminalError(self._message(f"after {seconds:.0f} s the screen is not as expected"))
            if not self._read():
                if is_shown(self.lines):
                    return
                raise TerminalError(self._message("the program has ended"))

    def settle(self, quiet_seconds: float, seconds: float) -> None:
        """Follow the program until nothing has changed for ``quiet_seconds``."""
        last, since, deadline = self.lines, time.monotonic(), time.monotonic() + seconds
        while time.monotonic() < since + quiet_seconds:
            if time.monotonic() > deadline:
                raise TerminalError(self._message(f"after {seconds:.0f} s the screen still changes"))
            if not self._read():
                return
            if self.lines != last:
                last, since = self.lines, time.monotonic()

    def watch(self, seconds: float) -> None:
        """Follow the program for a while, or to its end."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._read():
            pass

    def _read(self) -> bool:
        """Take in what the program has printed; False once it has ended."""
        try:
            self._stream.feed(self._child.read_nonblocking(READ_BYTES, POLL_SECONDS))
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        return True

    def _message(self, what: str) -> str:
        return "\n".join([f"{self._child.command}: {what}:", *self.lines]).rstrip()
