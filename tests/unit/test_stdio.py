"""A message is one line, whatever text of a record, a registry or a broker is part of it."""

import logging
import sys

import pytest

from classifier.stdio import LineFormatter, print_error

HOSTILE = "subject x: 'a\r\nERROR y\u2028\x1b[31m' é 小"
ESCAPED = r"subject x: 'a\r\nERROR y\u2028\x1b[31m' é 小"


def record(message: str, *given: object) -> logging.LogRecord:
    """A record of the client's log."""
    return logging.LogRecord("user_classifier", logging.WARNING, __file__, 1, message, given, None)


def test_a_log_line() -> None:
    for made in (record(HOSTILE), record("%s", HOSTILE)):
        line = LineFormatter().format(made)
        assert line.partition(" WARNING ")[2] == ESCAPED
        assert len(line.splitlines()) == 1


def test_a_traceback_keeps_its_lines() -> None:
    made = record("failed")
    try:
        raise ValueError("boom")
    except ValueError:
        made.exc_info = sys.exc_info()
    assert LineFormatter().format(made).splitlines()[1] == "Traceback (most recent call last):"


def test_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(HOSTILE)
    assert capsys.readouterr().err == f"{ESCAPED}\n"
