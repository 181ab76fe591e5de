"""Environments of other programs, made by pip from benchmarks/environments/*.txt and kept in .local/bench/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.programs import ROOT

REQUIREMENTS = Path(__file__).with_name("environments")
HOME = ROOT / ".local" / "bench"
INSTALL_SECONDS = 300
SHOWN_CHARACTERS = 200


class NotInstalled(Exception):
    """An environment cannot be made here."""


def python_of(name: str) -> Path:
    """The environment's Python; it is made the first time, and again when its requirements have changed."""
    requirements, home = REQUIREMENTS / f"{name}.txt", HOME / name
    python, stamp = home / "bin" / "python", home / "installed.txt"
    wanted = requirements.read_text(encoding="utf-8")
    if not (stamp.exists() and stamp.read_text(encoding="utf-8") == wanted):
        _run([sys.executable, "-m", "venv", "--clear", str(home)])
        _run([str(python), "-m", "pip", "install", "--disable-pip-version-check", "-q", "-r", str(requirements)])
        stamp.write_text(wanted, encoding="utf-8")
    return python


def versions_in(python: Path, packages: list[str]) -> dict[str, str]:
    """The versions of some of an environment's packages."""
    code = "import sys, importlib.metadata as m; print(*(m.version(name) for name in sys.argv[1:]))"
    done = subprocess.run([str(python), "-c", code, *packages], capture_output=True, text=True, check=True)
    return dict(zip(packages, done.stdout.split(), strict=True))


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"not installed: pip took longer than {INSTALL_SECONDS} s") from None
    if done.returncode:
        raise NotInstalled(f"not installed: {done.stderr.strip()[-SHOWN_CHARACTERS:]}")
