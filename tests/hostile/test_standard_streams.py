"""Standard streams that are closed, full, or cannot encode a name: no traceback, and the right exit code."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import configuration, inside
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.client import ROOT, SCRIPT, TIMEOUT_S, Finished
from tests.support.pipeline import Pipeline
from tests.support.planted import files_of_at_most

PREFIX = "user_classifier.py: error: "
FULL = "standard output: No space left on device; redirect it to a file: > FILE\n"
CLOSED = "standard output: Bad file descriptor; redirect it to a file: > FILE\n"
# Buffered, as for a user: a full device raises at the end, not at the first write.
BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}
NAMES = ("Ève", "Юля", "小明", "🙂")


def shell(arguments: list[str], redirections: str, environment: dict[str, str] | None = None) -> Finished:
    """Run the client with redirections; its output is decoded as UTF-8, with replacements."""
    command = f"exec {shlex.join([sys.executable, str(SCRIPT), *arguments])} {redirections}"
    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env={**BUFFERED, **(environment or {})}, capture_output=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    finished = Finished(done.returncode, *(each.decode(errors="replace") for each in (done.stdout, done.stderr)))
    assert "Traceback" not in finished.output
    assert "Exception ignored" not in finished.output
    assert "Logging error" not in finished.output
    return finished


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A configuration of services that do not exist."""
    return str(configuration.write(tmp_path / "x.ini", configuration.sections("127.0.0.1:1", "http://127.0.0.1:1")))


@pytest.mark.parametrize("option", ["--print-config", "--check"])
@pytest.mark.parametrize(("where", "message"), [(">/dev/full", FULL), (">&-", CLOSED), (">&- <&-", CLOSED)])
def test_output_that_cannot_be_written(option: str, where: str, message: str, file: str) -> None:
    assert shell([file, option], where) == (1, "", f"{PREFIX}{message}")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_that_cannot_be_written(option: str) -> None:
    assert shell([option], ">/dev/full") == (1, "", f"{PREFIX}{FULL}")
    assert shell([option], ">&-") == (1, "", f"{PREFIX}{CLOSED}")


def test_unbuffered_output(file: str) -> None:
    assert shell([file, "--print-config"], ">/dev/full", {"PYTHONUNBUFFERED": "1"}) == (1, "", f"{PREFIX}{FULL}")
    assert shell([f"{file}.not"], ">/dev/full 2>/dev/full", {"PYTHONUNBUFFERED": "1"}) == (2, "", "")


@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-", "2>&- <&-", ">/dev/full 2>/dev/full", ">&- 2>&- <&-"])
def test_an_error_that_cannot_be_written_has_its_exit_code(where: str, file: str) -> None:
    assert shell([f"{file}.not"], where) == (2, "", "")
    assert shell([f"{file}.not", "--log-format", "json"], where) == (2, "", "")
    assert shell(["--nonsense"], where) == (2, "", "")


@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-", "2>&- <&-"])
def test_output_is_written_without_a_log(where: str, file: str) -> None:
    finished = shell([file, "--print-config"], where)
    assert (finished.code, finished.stderr) == (0, "")
    assert finished.stdout.startswith("[options]\n")


def test_a_closed_pipe(file: str) -> None:
    for option in ([file, "--print-config"], ["--help"]):
        assert shell(option, "| true; exit 0").stderr == ""


@pytest.fixture
def written(pipeline: Pipeline) -> Pipeline:
    """A pipeline of users with names outside most encodings."""
    pipeline.write([Placed(0, Change(Op.INSERT, Row(name, 10.0 * at, 1))) for at, name in enumerate(NAMES)])
    return pipeline


@pytest.mark.parametrize(
    "where", ["2>/dev/full", "2>&-", ">/dev/full", ">&-", ">&- 2>&- <&-", "2>&1 >/dev/full | true"]
)
def test_labels_are_written_without_a_log(where: str, written: Pipeline) -> None:
    finished = shell(written.arguments("--until-end", "--summary", "--log-format", "text"), where)
    assert finished.code == 0, finished.output
    assert set(written.labelling()) == set(NAMES)


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "cp1252:strict"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "POSIX"},
        {"LANG": "nothing", "LC_ALL": "nothing"},
    ],
    ids=str,
)
def test_names_outside_the_encoding(environment: dict[str, str], written: Pipeline) -> None:
    names = "knapp,mitten,très"
    finished = shell(written.arguments("--dry-run", "--label-names", names, "--summary"), "", environment)
    assert finished.code == 0, finished.output
    for name in NAMES[1:]:
        assert name in finished.stdout or name.encode("ascii", "backslashreplace").decode() in finished.stdout
    finished = shell(written.arguments("--until-end", "--label-names", names, "--summary"), "", environment)
    assert finished.code == 0, finished.output
    assert re.search(r"tr(è|�|\\xe8)s", finished.stderr)


def test_names_outside_an_ascii_locale(written: Pipeline) -> None:
    environment = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    finished = shell(written.arguments("--dry-run"), "", environment)
    assert finished.code == 0, finished.output
    assert all(name.encode("ascii", "backslashreplace").decode() in finished.stdout for name in NAMES)
    finished = shell(written.arguments("--dry-run", "--label-names", "knapp,mitten,très"), "", environment)
    assert (finished.code, finished.stdout) == (2, "")
    assert "the name of label 2 has characters that cannot be printed" in finished.stderr


@pytest.mark.parametrize("option", ["--dry-run", "--explore-k", "--check"])
def test_a_preview_that_cannot_be_written(option: str, written: Pipeline) -> None:
    finished = shell(written.arguments(option, "--log-level", "ERROR"), ">/dev/full")
    assert finished == (1, "", f"{PREFIX}{FULL}")


def test_a_picture_on_a_full_disk(written: Pipeline, tmp_path: Path) -> None:
    """No file may be longer than a small part of a picture."""
    for name in ("clusters.png", "clusters.svg", "clusters.pdf"):
        picture = tmp_path / name
        with files_of_at_most(1000):
            labelled = inside.run(written.arguments("--until-end", "--rebuild", "--plot", str(picture)))
            compared = inside.run(written.arguments("--explore-k", "--plot", str(picture)))
        assert labelled.code == 0
        assert f"{name}: not drawn (File too large)" in labelled.stderr
        error = f"{PREFIX}{picture}: not drawn (File too large)"
        assert (compared.code, compared.stderr.splitlines()[-1]) == (1, error)
