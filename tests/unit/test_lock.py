"""Lock files of the images: versions that the requirements allow, with the SHA-256 of each file."""

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.client import ROOT

ON_LINUX = {"sys_platform": "linux", "implementation_name": "cpython", "platform_python_implementation": "CPython"}
LOCKS = {  # lock file -> what it allows
    "requirements.lock": ["requirements.txt"],
    "dashboard/requirements.lock": ["requirements.txt", "dashboard/requirements.txt"],
    "deploy/sbom.lock": ["deploy/sbom.txt"],
}
PYTHONS = ["3.11", "3.12", "3.13"]


def entries(lock: str) -> list[str]:
    """The packages of a lock file, each with its checksums."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    return [entry for entry in re.split(r"\n(?=\S)", text.strip()) if not entry.startswith("#")]


def versions(lock: str, python: str) -> dict[str, str]:
    """The version of each package that is installed with a Python."""
    environment = {**ON_LINUX, "python_version": python, "python_full_version": f"{python}.0"}
    pinned = [Requirement(entry.partition(" \\")[0]) for entry in entries(lock)]
    installed = [each for each in pinned if each.marker is None or each.marker.evaluate(environment)]
    found = {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in installed}
    assert len(found) == len(installed), "one version of each package"
    return {str(name): version for name, version in found.items()}


def allowed(files: list[str]) -> list[Requirement]:
    """The requirements of some files."""
    lines = [line.partition("#")[0] for file in files for line in (ROOT / file).read_text("utf-8").splitlines()]
    return [Requirement(line) for line in lines if line.strip()]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("lock", "files"), LOCKS.items())
def test_every_locked_version_is_allowed(lock: str, files: list[str], python: str) -> None:
    """If this fails, run: make lock."""
    found = versions(lock, python)
    for each in allowed(files):
        assert each.specifier.contains(found[canonicalize_name(each.name)]), each


@pytest.mark.parametrize("python", PYTHONS)
def test_the_page_has_the_packages_of_the_client(python: str) -> None:
    """Its image is made from that of the client."""
    assert versions("requirements.lock", python).items() <= versions("dashboard/requirements.lock", python).items()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_file_has_a_checksum(lock: str) -> None:
    packages = entries(lock)
    assert len(packages) > 20
    for entry in packages:
        first, *hashes = (line.strip().removesuffix(" \\") for line in entry.splitlines())
        assert re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", first)
        assert hashes
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes)


@pytest.mark.parametrize("lock", LOCKS)
def test_no_package_registry_is_named(lock: str) -> None:
    assert not re.search(r"://|index|pypi", (ROOT / lock).read_text(encoding="utf-8"))
