"""requirements.lock: versions that requirements.txt allows, with the SHA-256 of each file."""

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.client import ROOT

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
ENTRIES = re.split(r"\n(?=\S)", LOCK.strip())
PINNED = [Requirement(entry.partition(" \\")[0]) for entry in ENTRIES if not entry.startswith("#")]
ALLOWED = [
    Requirement(line.partition("#")[0])
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if line.partition("#")[0].strip()
]
ON_LINUX = {"sys_platform": "linux", "implementation_name": "cpython", "platform_python_implementation": "CPython"}


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_every_locked_version_is_allowed(python: str) -> None:
    """One version of each package for each Python; if this fails, run: make lock."""
    environment = {**ON_LINUX, "python_version": python, "python_full_version": f"{python}.0"}
    installed = [each for each in PINNED if each.marker is None or each.marker.evaluate(environment)]
    versions = {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in installed}
    assert len(versions) == len(installed)
    for each in ALLOWED:
        assert each.specifier.contains(versions[canonicalize_name(each.name)]), each


def test_every_file_has_a_checksum() -> None:
    packages = [entry for entry in ENTRIES if not entry.startswith("#")]
    assert len(packages) > 20
    for entry in packages:
        first, *hashes = (line.strip().removesuffix(" \\") for line in entry.splitlines())
        assert re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", first)
        assert hashes
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes)


def test_no_package_registry_is_named() -> None:
    assert not re.search(r"://|index|pypi", LOCK)
