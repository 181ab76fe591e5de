"""The oldest versions that the requirements files allow: `make test-oldest` installs them and runs the tests.

python -m tests.lower_bounds           the constraints for pip
python -m tests.lower_bounds --check   whether this environment has them: exit code 1 and a line for each that differs
"""

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BOUNDED = re.compile(r"([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?>=([0-9.]+),<[0-9.]+")
PINNED = re.compile(r"[A-Za-z0-9._-]+==[0-9.]+")


class Bound(NamedTuple):
    """The oldest version of a package that a file allows."""

    package: str
    version: str


def requirements_files() -> list[Path]:
    """Every requirements file whose packages lie in the one virtual environment."""
    return [ROOT / "requirements.txt", *sorted(ROOT.glob("[!.]*/requirements.txt"))]


def lower_bounds(text: str) -> Iterator[Bound]:
    """The lower bounds in a requirements file; ValueError for a line that has neither bounds nor a pin."""
    for line in text.splitlines():
        requirement = line.partition("#")[0].strip()
        if bounded := BOUNDED.fullmatch(requirement):
            yield Bound(*bounded.groups())
        elif requirement and not PINNED.fullmatch(requirement):
            raise ValueError(f"{requirement}: needs a lower and an upper bound: name>=1.2,<2")


def all_lower_bounds() -> dict[str, str]:
    """The oldest version of each package that every file allows."""
    found: dict[str, str] = {}
    for path in requirements_files():
        for package, version in lower_bounds(path.read_text(encoding="utf-8")):
            found[package] = max(version, found.get(package, version), key=numbers)
    return found


def numbers(version: str) -> list[int]:
    """A version as what it is compared by; 1.2 and 1.2.0 are the same."""
    found = [int(part) for part in version.split(".")]
    while found[1:] and found[-1] == 0:
        found.pop()
    return found


def differences() -> list[str]:
    """The packages of this environment that are not of the oldest version allowed."""
    there = {package: importlib.metadata.version(package) for package in all_lower_bounds()}
    return [
        f"{package} is {there[package]}, not {version}"
        for package, version in all_lower_bounds().items()
        if numbers(there[package]) != numbers(version)
    ]


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit("\n".join(differences()) or 0)
    print("\n".join(f"{package}=={version}" for package, version in all_lower_bounds().items()))
