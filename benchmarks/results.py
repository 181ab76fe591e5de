"""All that one run of the benchmarks found out, and its file."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.line import Line
from benchmarks.measures.cell_steps import CellSteps
from benchmarks.measures.changed_users import ChangedUsers
from benchmarks.measures.latency import Latency
from benchmarks.measures.one_record import OneRecord
from benchmarks.measures.restart import Restart
from benchmarks.measures.segments import Segments
from benchmarks.measures.start_up import StartUp
from benchmarks.programs import ROOT

PACKAGES = ("confluent-kafka", "fastavro", "numpy", "scikit-learn", "scipy", "pandas")


@dataclass
class Results:
    """What was measured; None or empty where it was not asked for, failed or had no time left."""

    quick: bool
    lines: list[Line] = field(default_factory=list)
    one_record: list[OneRecord] = field(default_factory=list)
    changed_users: list[ChangedUsers] = field(default_factory=list)
    segments: Segments | None = None
    cell_steps: list[CellSteps] = field(default_factory=list)
    restart: Restart | None = None
    latency: Latency | None = None
    start_up: StartUp | None = None
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of other programs' environments."""
    not_measured: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether nothing was measured."""
        return self == Results(self.quick, versions=self.versions, not_measured=self.not_measured)

    def line(self, name: str, n_users: int, n_records: int | None = None) -> Line | None:
        """A line that was measured, on the longest input if none is named."""
        found = [line for line in self.lines if (line.name, line.n_users) == (name, n_users) and line.usages]
        found = [line for line in found if n_records in (None, line.n_records)]
        return max(found, key=lambda line: line.n_records, default=None)

    def one_record_at(self, n_users: int) -> OneRecord | None:
        """Steps of one record at a number of users."""
        return next((each for each in self.one_record if each.n_users == n_users), None)

    def changed_users_at(self, n_users: int) -> ChangedUsers | None:
        """Steps with 1 % of the users changed at a number of users."""
        return next((each for each in self.changed_users if each.n_users == n_users), None)

    def cell_steps_at(self, n_users: int, scale: str) -> ChangedUsers | None:
        """Steps with --fit cells at a number of users."""
        found = (each.steps for each in self.cell_steps if each.scale == scale)
        return next((each for each in found if each.n_users == n_users), None)

    def user_counts(self) -> list[int]:
        """The numbers of users of the comparison, ascending."""
        return sorted({line.n_users for line in self.lines})


def as_json(results: Results, seconds: float) -> dict[str, Any]:
    """Everything but the targets, for the file."""
    found = asdict(results)
    found["lines"] = [line_as_json(line) for line in results.lines]
    return {"about": about(seconds), **found}


def line_as_json(line: Line) -> dict[str, Any]:
    """One line with its runs."""
    found: dict[str, Any] = {"name": line.name, "n_users": line.n_users, "n_records": line.n_records}
    if line.usages:
        summaries = {"records_per_second": line.rate, "cpu_seconds_per_million": line.cpu, "peak_mib": line.peak}
        found |= {name: asdict(summary) for name, summary in summaries.items()}
        found["seconds"] = [round(usage.seconds, 3) for usage in line.usages]
    if line.old_rows:
        found["share_of_old_rows"] = line.old_rows
    if line.steps:
        found["steps"] = [[asdict(step) | {"at": step.at.isoformat()} for step in run] for run in line.steps]
    return found | ({"error": line.error} if line.error else {})


def about(seconds: float) -> dict[str, Any]:
    """When, of which commit, with what, on what."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": git("rev-parse", "HEAD"),
        "changed_since_commit": bool(git("status", "--porcelain", "user_classifier.py", "classifier")),
        "seconds": round(seconds),
        **machine(),
        "versions": {"python": platform.python_version(), **versions(PACKAGES)},
    }


def machine() -> dict[str, Any]:
    """Processor, cores and memory."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1]) / 1024**2
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": len(models) or None,
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of those packages that this environment has."""
    found = {}
    for name in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def git(*arguments: str) -> str:
    """What git says; nothing outside of a repository."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def save(directory: Path, found: dict[str, Any]) -> Path:
    """Write latest.json."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "latest.json"
    path.write_text(json.dumps(rounded(found), indent=1) + "\n", encoding="utf-8")
    return path


def rounded(value: Any) -> Any:
    """Floats with four significant digits: more were never measured."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [rounded(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return value
