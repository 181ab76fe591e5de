"""Standard output and error as they are in the world: closed, full, broken, or unable to hold a user's name.

What was asked for and cannot be shown is an error. A log that cannot be written is no reason to stop labelling.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from classifier.errors import ClassifierError


class OutputFailed(ClassifierError):
    """What was asked for could not be written to standard output."""


def repair_streams() -> None:
    """Put something behind closed streams, and let what a stream's encoding does not hold be written as \\uXXXX."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # else the next connection or file would get the number, and the log of a library in it
            os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)  # the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  until the process ends
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_line(line: str) -> None:
    """Print what was asked for, at once; BrokenPipeError when its reader has seen enough."""
    with checked_output():
        print(line, flush=True)


@contextlib.contextmanager
def checked_output() -> Iterator[None]:
    """Raise OutputFailed where standard output cannot be written to."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_output(sys.stdout)
        raise OutputFailed(f"standard output: {error.strerror}; redirect it to a file: > FILE") from None


def print_error(line: str) -> None:
    """Print a line on standard error, where that is possible."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        discard_output(sys.stderr)


def discard_output(stream: Any) -> None:
    """Send what a stream still holds nowhere: it would be tried again at the end, and end in a traceback."""
    with contextlib.suppress(io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def exit_code_of(main: Callable[[], int]) -> int:
    """Run a program, and return its exit code; 1 if not all of its output could be written."""
    try:
        exit_code = main()
    except SystemExit as end:  # of argparse, after --help or a mistake
        exit_code = int(end.code or 0)
    try:
        with checked_output():
            sys.stdout.flush()
    except BrokenPipeError:
        discard_output(sys.stdout)
    except OutputFailed as error:
        print_error(f"user_classifier.py: error: {error}")
        exit_code = exit_code or 1
    with contextlib.suppress(OSError):
        sys.stderr.flush()
        return exit_code
    discard_output(sys.stderr)
    return exit_code
