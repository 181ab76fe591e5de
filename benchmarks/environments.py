"""Virtual environments of other programs, from benchmarks/environments/*.txt, kept in .local/bench/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.processes import ROOT

REQUIREMENTS = Path(__file__).with_name("environments")
HOME = ROOT / ".local" / "bench"
INSTALL_SECONDS = 300
SHOWN_CHARACTERS = 200
"""Of pip's error messages, from the end."""


class NotInstalled(Exception):
    """Raised when an environment cannot be installed."""


def python_of(name: str) -> Path:
    """Return the Python of an environment; create it the first time, and again when its requirements change."""
    requirements = REQUIREMENTS / f"{name}.txt"
    home = HOME / name
    python = home / "bin" / "python"
    stamp = home / "installed.txt"
    wanted = requirements.read_text(encoding="utf-8")
    if not (stamp.exists() and stamp.read_text(encoding="utf-8") == wanted):
        _run([sys.executable, "-m", "venv", "--clear", str(home)])
        _run([str(python), "-m", "pip", "install", "--disable-pip-version-check", "-q", "-r", str(requirements)])
        stamp.write_text(wanted, encoding="utf-8")
    return python


def versions_in(python: Path, packages: list[str]) -> dict[str, str]:
    """Return the versions of packages that are installed in an environment."""
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
