"""requirements.lock: what the image installs is what requirements.txt allows, each file known by its SHA-256."""

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.client import ROOT

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
ENTRIES = re.split(r"\n(?=\S)", LOCK.strip())
PINNED = [Requirement(entry.partition(" \\")[0]) for entry in ENTRIES if not entry.startswith("#")]
WANTED = [
    Requirement(line.partition("#")[0])
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if line.partition("#")[0].strip()
]
ON_LINUX = {"sys_platform": "linux", "implementation_name": "cpython", "platform_python_implementation": "CPython"}


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_every_package_is_of_a_version_that_is_allowed(python: str) -> None:
    """One of each name for each Python, within the bounds of requirements.txt: make lock."""
    environment = {**ON_LINUX, "python_version": python, "python_full_version": f"{python}.0"}
    here = [each for each in PINNED if each.marker is None or each.marker.evaluate(environment)]
    versions = {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in here}
    assert len(versions) == len(here)
    for each in WANTED:
        assert each.specifier.contains(versions[canonicalize_name(each.name)]), each


def test_every_file_is_known() -> None:
    packages = [entry for entry in ENTRIES if not entry.startswith("#")]
    assert len(packages) > 20
    for entry in packages:
        first, *hashes = (line.strip().removesuffix(" \\") for line in entry.splitlines())
        assert re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", first)
        assert hashes
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes)


def test_no_package_registry_is_named() -> None:
    assert not re.search(r"://|index|pypi", LOCK)
