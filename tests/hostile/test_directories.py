"""No home, nowhere to write but one folder, a working directory that is gone: labels and picture are made anyway."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from classifier.reports.output_file import prepare_matplotlib
from tests.support.changelog import aggregation, place_by_hash
from tests.support.client import SCRIPT, TIMEOUT_S
from tests.support.pipeline import Pipeline

NOWHERE = "/dev/null/nothing"  # cannot be made, not even by root
PLACES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "TMPDIR", "TEMP", "TMP", "MPLBACKEND")
BARE = {name: value for name, value in os.environ.items() if name not in PLACES}
ENVIRONMENTS = {
    "no home": {},
    "a home that is not there": {"HOME": NOWHERE, "XDG_CACHE_HOME": NOWHERE, "XDG_CONFIG_HOME": NOWHERE},
    "a place for fonts that is not there": {"MPLCONFIGDIR": NOWHERE},
    "no such folder for temporary files": {"TMPDIR": NOWHERE, "HOME": NOWHERE},
    "a backend of somebody else's": {"MPLBACKEND": "nonsense"},
}


def run(arguments: list[str], cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the client from a working directory."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], cwd=cwd, env={**BARE, **environment}, capture_output=True,
        text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


@pytest.fixture
def written(pipeline: Pipeline) -> Pipeline:
    """A pipeline with some users."""
    pipeline.write(place_by_hash(aggregation(seed=1, n_users=12, n_transactions=100), 1))
    return pipeline


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_a_picture_without_a_home(environment: dict[str, str], written: Pipeline, tmp_path: Path) -> None:
    finished = run(written.arguments("--until-end", "--plot", str(tmp_path / "c.png")), tmp_path, environment)
    assert finished.returncode == 0, finished.stderr
    assert "matplotlib" not in finished.stderr.lower()
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert written.labelling()


def test_a_working_directory_that_is_gone(written: Pipeline, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f'cd "{gone}" && rmdir "{gone}" && exec "$@"'
    client = [sys.executable, str(SCRIPT), *written.arguments("--until-end", "--plot", str(tmp_path / "c.svg"))]
    done = subprocess.run(["sh", "-c", command, "sh", *client], capture_output=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "c.svg").exists()


def test_the_pictures_folder_is_all_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "tempdir", None)
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "gettempdir", nothing)
        prepare_matplotlib(tmp_path)
    assert tempfile.gettempdir() == str(tmp_path)


def test_elsewhere_is_left_alone(tmp_path: Path) -> None:
    before = tempfile.gettempdir()
    prepare_matplotlib(tmp_path)
    assert tempfile.gettempdir() == before
