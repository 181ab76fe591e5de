"""The contents of the image."""

import re
import subprocess
from pathlib import Path

from classifier import __version__
from tests.container.conftest import Start
from tests.container.image import Image
from tests.support.client import ROOT
from tests.support.pages import RUNNING

SIZE = re.compile(r"about (\d+) MB on top of the base image")
TOLERANCE = 0.15
"""Relative; newer packages change the size."""


def test_the_arguments_are_those_of_the_client(start: Start) -> None:
    """`docker run IMAGE --version`, `docker run IMAGE CONFIG_FILE`."""
    with start("--version") as container:
        assert container.wait() == 0
        assert container.output == f"user_classifier {__version__}\n"
    with start("/mounted/nothing.ini") as container:
        assert container.wait() == 2
        assert container.output.startswith("user_classifier.py: error: /mounted/nothing.ini: no such file")


def test_it_contains_only_the_client(root: Path) -> None:
    tracked = ["git", "ls-files", "user_classifier.py", "classifier"]
    client = subprocess.run(tracked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    app = root / "app"
    found = {str(path.relative_to(app)) for path in app.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert found == set(client)
    assert {path.stem.partition(".")[0] for path in app.rglob("*.pyc")} == {Path(name).stem for name in client}
    venv = {path.name for path in (root / "venv").rglob("*") if path.is_dir()}
    assert not venv & {"pip", "setuptools", "wheel", "pytest", "ruff"}


def test_it_contains_no_build_tools(root: Path) -> None:
    programs = {path.name for path in root.glob("{usr/,}{local/,}bin/*")} | {
        path.name for folder in ("venv/bin", "usr/bin", "usr/local/bin", "bin") for path in (root / folder).glob("*")
    }
    assert "python" in programs
    assert not programs & {"pip", "pip3", "uv", "gcc", "cc", "make", "git", "curl"}
    assert not (root / "tools").exists()


def test_only_root_can_change_its_files(image: Image, root: Path) -> None:
    assert image.config["User"] == "10001:10001"
    for folder in ("app", "venv"):
        for path in [root / folder, *(root / folder).rglob("*")]:
            if not path.is_symlink():
                status = path.stat()
                assert (status.st_uid, status.st_mode & 0o022) == (0, 0), path


def test_everybody_can_read_its_files(root: Path) -> None:
    """It is built from a clone whose files only its owner can read."""
    for folder in ("app", "venv"):
        for path in [root / folder, *(root / folder).rglob("*")]:
            if not path.is_symlink():
                assert path.stat().st_mode & 0o055 == (0o055 if path.is_dir() else path.stat().st_mode & 0o011 | 0o044)


def test_its_size_is_that_in_the_page(images: tuple[Image, Image]) -> None:
    base, client = (image.megabytes for image in images)
    print(f"the image has {client:.0f} MB, of which {base:.0f} are the base image")
    found = SIZE.search(RUNNING.text)
    assert found
    size = int(found[1])
    assert abs(client - base - size) < TOLERANCE * size


def test_nothing_is_compiled_at_a_start(start: Start) -> None:
    """On a read-only file system it would be compiled at each start."""
    compiled = re.compile(r"^# (?:code object from (?!.*\.pyc')|bytecode is stale)", re.MULTILINE)
    with start("--version", PYTHONVERBOSE="1") as container:
        assert container.wait() == 0
        assert "code object from" in container.output
        assert compiled.findall(container.output) == []
