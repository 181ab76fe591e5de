"""The contents of the image."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from classifier import __version__
from local.services.process import free_port, is_listening
from tests.container.conftest import Start
from tests.container.contained import Contained
from tests.container.image import BASE, REVISION, Image
from tests.support import configuration
from tests.support.client import ROOT
from tests.support.pages import RUNNING
from tests.support.waiting import wait_until

SIZE = re.compile(r"about (\d+) MB on top of the base image")
TOLERANCE = 0.15
"""Relative; newer packages change the size."""


@pytest.fixture(scope="module")
def root_of_page(page: Image) -> Path:
    """A root file system from the image of the page."""
    return page.root()


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
    assert found == {*client, "sbom.cdx.json"}
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


def test_everybody_can_read_its_files(root: Path, root_of_page: Path) -> None:
    """It is built from a clone whose files only its owner can read."""
    for folder in (each / name for each in (root, root_of_page) for name in ("app", "venv")):
        for path in [folder, *folder.rglob("*")]:
            if not path.is_symlink():
                assert path.stat().st_mode & 0o055 == (0o055 if path.is_dir() else path.stat().st_mode & 0o011 | 0o044)


def test_its_size_is_that_in_the_page(images: tuple[Image, Image, Image]) -> None:
    base, client, _ = (image.megabytes for image in images)
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


def test_labels(image: Image, page: Image) -> None:
    """The names are those of the OCI."""
    for each, title in ((image, "user_classifier"), (page, "user_classifier dashboard")):
        prefix = "org.opencontainers.image."
        found = {name.removeprefix(prefix): value for name, value in each.config["Labels"].items() if prefix in name}
        assert found.pop("description")
        assert found == {"title": title, "version": __version__, "revision": REVISION, "base.name": BASE}


ANY_USER = "1000680000:0"  # as OpenShift assigns one: without an entry in /etc/passwd, in the group of root


def test_any_other_user(start: Start, tmp_path: Path) -> None:
    """The whole client is imported, and the file is read."""
    file = configuration.write(tmp_path / "x.ini", configuration.sections("127.0.0.1:1", "http://127.0.0.1:1"))
    with start(str(file), "--print-config", user=ANY_USER) as container:
        assert container.wait() == 0, container.output
        assert "bootstrap.servers = 127.0.0.1:1" in container.output
    with start(str(file), "--check", user=ANY_USER) as container:
        assert container.wait() == 1, container.output
        assert "Traceback" not in container.output


def components(root: Path) -> dict[str, str]:
    """The packages of the SBOM with their versions."""
    found = json.loads((root / "app" / "sbom.cdx.json").read_text(encoding="utf-8"))
    assert found["bomFormat"] == "CycloneDX"
    return {re.sub(r"[-_.]+", "-", each["name"]).lower(): each["version"] for each in found["components"]}


def installed(root: Path) -> dict[str, str]:
    """The packages in the image with their versions."""
    names = [path.stem.rsplit("-", 1) for path in root.glob("venv/lib/python3.*/site-packages/*.dist-info")]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in names}


def test_the_sbom_has_the_packages_of_the_image(root: Path, root_of_page: Path) -> None:
    assert components(root) == installed(root)
    assert components(root_of_page) == installed(root_of_page)
    assert {"numpy", "confluent-kafka"} <= components(root).keys()
    assert {"streamlit", "plotly"} <= components(root_of_page).keys() - components(root).keys()


def test_the_page_serves_as_any_user(page: Image, root_of_page: Path, folder: Path) -> None:
    port = free_port()
    configuration.write(folder / "x.ini", configuration.sections("127.0.0.1:1", "http://127.0.0.1:1"))
    arguments = ["/mounted/x.ini", "--port", str(port)]
    with Contained(page, root_of_page, folder, arguments, user=ANY_USER) as container:
        wait_until(lambda: is_listening(port) or not container.running, "the page to be served")
        assert container.running, container.output
        assert container.is_read_only()
        assert "Traceback" not in container.output
        assert container.stop() == 0
