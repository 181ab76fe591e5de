"""The script from outside: --help, --version, and a reader that closes the pipe."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.config.settings import settings_from
from tests.support import configuration, inside
from tests.support.client import ROOT, SCRIPT, TIMEOUT_S
from user_classifier import argument_parser


def test_help_has_every_option_with_its_default_and_runs_without_kafka() -> None:
    finished = inside.run(["--help"])
    assert finished.code == 0
    options = [name for action in argument_parser()._actions for name in action.option_strings]
    assert {"-k", "--rebuild", "--plot"} < set(options)
    for name in options:
        assert name in finished.stdout
    for default in ("transactions_aggregate", "user_labeling", "default: 3", "default: 1.0", "error_log"):
        assert default in " ".join(finished.stdout.split())


def test_the_examples_in_the_help_can_be_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    examples = [line.strip() for line in inside.run(["--help"]).stdout.splitlines() if line.startswith("  python ")]
    assert len(examples) >= 3
    for example in examples:
        program, script, *arguments = shlex.split(example)
        assert (program, script) == ("python", "user_classifier.py")
        settings_from(argument_parser().parse_args(arguments))


def test_version() -> None:
    finished = inside.run(["--version"])
    assert finished.code == 0
    assert finished.stdout.startswith("user_classifier ")


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    """As in `user_classifier.py ... --print-config | true`."""
    file = configuration.write(tmp_path / "x.ini", configuration.sections("127.0.0.1:1", "http://127.0.0.1:1"))
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        command: list[str | Path] = [sys.executable, SCRIPT, file, "--print-config"]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
