"""What lies in the image, and what does not."""

import re
import subprocess
from pathlib import Path

from classifier import __version__
from tests.container.conftest import Start
from tests.container.image import Image
from tests.support.client import ROOT
from tests.support.pages import RUNNING

SIZE = re.compile(r"about (\d+) MB on top of the base image")
NEAR = 0.15
"""What newer packages may change."""


def test_the_plain_command(start: Start) -> None:
    """`docker run IMAGE --version`, `docker run IMAGE CONFIG_FILE`."""
    with start("--version") as container:
        assert container.wait() == 0
        assert container.output == f"user_classifier {__version__}\n"
    with start("/mounted/nothing.ini") as container:
        assert container.wait() == 2
        assert container.output.startswith("user_classifier.py: error: /mounted/nothing.ini: no such file")


def test_only_the_client_is_in_it(root: Path) -> None:
    tracked = ["git", "ls-files", "user_classifier.py", "classifier"]
    client = subprocess.run(tracked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    app = root / "app"
    found = {str(path.relative_to(app)) for path in app.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert found == set(client)
    assert {path.stem.partition(".")[0] for path in app.rglob("*.pyc")} == {Path(name).stem for name in client}
    venv = {path.name for path in (root / "venv").rglob("*") if path.is_dir()}
    assert not venv & {"pip", "setuptools", "wheel", "pytest", "ruff"}


def test_nothing_to_build_with_is_left(root: Path) -> None:
    programs = {path.name for path in root.glob("{usr/,}{local/,}bin/*")} | {
        path.name for folder in ("venv/bin", "usr/bin", "usr/local/bin", "bin") for path in (root / folder).glob("*")
    }
    assert "python" in programs
    assert not programs & {"pip", "pip3", "uv", "gcc", "cc", "make", "git", "curl"}
    assert not (root / "tools").exists()


def test_nobody_but_root_can_change_what_is_run(image: Image, root: Path) -> None:
    assert image.config["User"] == "10001:10001"
    for folder in ("app", "venv"):
        for path in [root / folder, *(root / folder).rglob("*")]:
            if not path.is_symlink():
                status = path.stat()
                assert (status.st_uid, status.st_mode & 0o022) == (0, 0), path


def test_it_is_as_large_as_the_page_says(images: tuple[Image, Image]) -> None:
    base, client = (image.megabytes for image in images)
    print(f"the image has {client:.0f} MB, of which {base:.0f} are the base image")
    told = SIZE.search(RUNNING.text)
    assert told
    assert abs(client - base - int(told[1])) < NEAR * int(told[1])


def test_nothing_is_compiled_at_a_start(start: Start) -> None:
    """In a read-only file system it would be compiled anew each time."""
    told = re.compile(r"^# (?:code object from (?!.*\.pyc')|bytecode is stale)", re.MULTILINE)
    with start("--version", PYTHONVERBOSE="1") as container:
        assert container.wait() == 0
        assert "code object from" in container.output
        assert told.findall(container.output) == []
