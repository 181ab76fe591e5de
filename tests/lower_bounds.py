"""The oldest versions that the requirements files allow; `make test-oldest` installs them and runs tests with them.

python -m tests.lower_bounds           print them as constraints for pip
python -m tests.lower_bounds --check   compare this environment: exit code 1 and a line for each difference
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
    """Return the requirements files whose packages share one virtual environment."""
    return [ROOT / "requirements.txt", *sorted(ROOT.glob("[!.]*/requirements.txt"))]


def lower_bounds(text: str) -> Iterator[Bound]:
    """Yield the lower bounds of a requirements file; ValueError for a line that has neither bounds nor a pin."""
    for line in text.splitlines():
        requirement = line.partition("#")[0].strip()
        bounded = BOUNDED.fullmatch(requirement)
        if bounded:
            yield Bound(*bounded.groups())
        elif requirement and not PINNED.fullmatch(requirement):
            raise ValueError(f"{requirement}: needs a lower and an upper bound: name>=1.2,<2")


def all_lower_bounds() -> dict[str, str]:
    """Return the oldest version of each package that all files allow."""
    found: dict[str, str] = {}
    for path in requirements_files():
        for package, version in lower_bounds(path.read_text(encoding="utf-8")):
            found[package] = max(version, found.get(package, version), key=numbers)
    return found


def numbers(version: str) -> list[int]:
    """Return a version as comparable numbers; 1.2 equals 1.2.0."""
    found = [int(part) for part in version.split(".")]
    while found[1:] and found[-1] == 0:
        found.pop()
    return found


def differences() -> list[str]:
    """Return a line for each package of this environment that is not the oldest allowed version."""
    installed = {package: importlib.metadata.version(package) for package in all_lower_bounds()}
    return [
        f"{package} is {installed[package]}, not {version}"
        for package, version in all_lower_bounds().items()
        if numbers(installed[package]) != numbers(version)
    ]


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit("\n".join(differences()) or 0)
    print("\n".join(f"{package}=={version}" for package, version in all_lower_bounds().items()))
