"""No home, no writable folder but one, a deleted working directory: labels and picture are written all the same."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from classifier.reports.output_file import prepare_matplotlib
from tests.support import inside
from tests.support.changelog import aggregation, place_by_hash
from tests.support.client import SCRIPT, TIMEOUT_S
from tests.support.pipeline import Pipeline
from tests.support.planted import of_another_account, shared_folder

NOWHERE = "/dev/null/nothing"  # cannot be created, not even by root
VARIABLES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "TMPDIR", "TEMP", "TMP", "MPLBACKEND")
BARE = {name: value for name, value in os.environ.items() if name not in VARIABLES}
ENVIRONMENTS = {
    "no home": {},
    "a home that does not exist": {"HOME": NOWHERE, "XDG_CACHE_HOME": NOWHERE, "XDG_CONFIG_HOME": NOWHERE},
    "a folder for fonts that does not exist": {"MPLCONFIGDIR": NOWHERE},
    "no such folder for temporary files": {"TMPDIR": NOWHERE, "HOME": NOWHERE},
    "an unknown backend": {"MPLBACKEND": "nonsense"},
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


def test_a_deleted_working_directory(written: Pipeline, tmp_path: Path) -> None:
    deleted = tmp_path / "deleted"
    deleted.mkdir()
    command = f'cd "{deleted}" && rmdir "{deleted}" && exec "$@"'
    client = [sys.executable, str(SCRIPT), *written.arguments("--until-end", "--plot", str(tmp_path / "c.svg"))]
    done = subprocess.run(["sh", "-c", command, "sh", *client], capture_output=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "c.svg").exists()


def test_the_folder_of_the_picture_is_the_only_writable_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "tempdir", None)
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "gettempdir", nothing)
        prepare_matplotlib(tmp_path)
    assert tempfile.gettempdir() == str(tmp_path)


def test_another_folder_for_temporary_files_is_kept(tmp_path: Path) -> None:
    before = tempfile.gettempdir()
    prepare_matplotlib(tmp_path)
    assert tempfile.gettempdir() == before


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (("--export",), "labels.csv"),
        (("--export",), "labels.parquet"),
        (("--until-end", "--plot"), "clusters.png"),
        (("--explore-k", "--plot"), "clusters.svg"),
        (("--dry-run", "--plot"), "clusters.pdf"),
    ],
)
def test_what_another_account_plants_in_a_shared_folder(
    options: tuple[str, ...], name: str, written: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside.run_to_end(written.arguments())
    (kept := tmp_path / f"kept{Path(name).suffix}").write_text("kept")
    path = shared_folder(tmp_path / "shared") / name
    for planted in (path, path.with_name(f".part-{name}"), path.with_name(f".export-{name}")):
        planted.symlink_to(kept)
    of_another_account(path, monkeypatch)
    refused = inside.run(written.arguments(*options, str(path)))
    assert refused.code == 2
    expected = rf"user_classifier\.py: error: {path}: '{name}' is a link of another account, uid \d+, in a folder that"
    assert re.search(expected, refused.stderr)
    path.unlink()
    finished = inside.run(written.arguments(*options, str(path)))
    assert finished.code == 0
    assert path.stat().st_size > 0
    assert not path.is_symlink()
    assert kept.read_text() == "kept"
