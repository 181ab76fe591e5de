"""Standard output and error, also if they are closed, full, broken, or cannot encode a user's name.

Requested output that cannot be written is an error. A log line that cannot be written is not: labelling goes on.
A message is one line, whatever text of a record, a registry or a broker is part of it.
"""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from classifier.errors import ClassifierError
from classifier.formatting import printable


class OutputFailed(ClassifierError):
    """Raised if requested output cannot be written to standard output."""


class LineFormatter(logging.Formatter):
    """Formats time, level and message as one line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback, which `format` appends, has lines of its own."""
        record.message = printable(record.message)
        return super().formatMessage(record)


def log_to_stderr(level: str, formatter: logging.Formatter | None = None) -> None:
    """Log records of this level and above to standard error, by default as lines of text."""
    logging.basicConfig(level=level)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter or LineFormatter())


def repair_streams() -> None:
    """Replace closed streams by the null device, and write what a stream cannot encode as \\uXXXX."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # Otherwise the next socket or file would get this number, and receive what a library logs.
            os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)  # takes the lowest free number
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  until the process ends
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_line(line: str) -> None:
    """Print and flush a line of requested output; raise BrokenPipeError if its reader has closed the pipe."""
    with checked_output():
        print(line, flush=True)


def print_error(line: str) -> None:
    """Print a line on standard error, if possible."""
    try:
        print(printable(line), file=sys.stderr, flush=True)
    except OSError:
        discard_output(sys.stderr)


@contextlib.contextmanager
def checked_output() -> Iterator[None]:
    """Raise OutputFailed if a write to standard output fails; BrokenPipeError passes."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_output(sys.stdout)
        raise OutputFailed(f"standard output: {error.strerror}; redirect it to a file: > FILE") from None


def discard_output(stream: Any) -> None:
    """Send what a stream still buffers to the null device. The flush at exit would fail again, with a traceback."""
    with contextlib.suppress(io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def exit_code_of(main: Callable[[], int]) -> int:
    """Run a program and flush its output; return its exit code, or 1 if not all of the output could be written."""
    try:
        exit_code = main()
    except SystemExit as end:  # from argparse, after --help or a wrong option
        exit_code = int(end.code or 0)
    try:
        with checked_output():
            sys.stdout.flush()
    except BrokenPipeError:
        discard_output(sys.stdout)
    except OutputFailed as error:
        print_error(f"user_classifier.py: error: {error}")
        exit_code = exit_code or 1
    try:
        sys.stderr.flush()
    except OSError:
        discard_output(sys.stderr)
    return exit_code
