"""The results of one run of the benchmarks, and their JSON file."""

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

from benchmarks.measures.cell_steps import CellSteps
from benchmarks.measures.changed_users import ChangedUsers
from benchmarks.measures.five_features import FiveFeatures
from benchmarks.measures.latency import Latency
from benchmarks.measures.one_record import OneRecord
from benchmarks.measures.restart import Restart
from benchmarks.measures.segments import Segments
from benchmarks.measures.start_up import StartUp
from benchmarks.processes import ROOT
from benchmarks.program_runs import ProgramRuns

PACKAGES = ("confluent-kafka", "fastavro", "numpy", "scikit-learn", "scipy", "pandas")


@dataclass
class Results:
    """The results; None or empty for a measurement that was not requested, was skipped or failed."""

    quick: bool
    programs: list[ProgramRuns] = field(default_factory=list)
    """`lines` in the JSON file."""
    one_record: list[OneRecord] = field(default_factory=list)
    changed_users: list[ChangedUsers] = field(default_factory=list)
    segments: Segments | None = None
    cell_steps: list[CellSteps] = field(default_factory=list)
    five_features: list[FiveFeatures] = field(default_factory=list)
    five_feature_steps: ChangedUsers | None = None
    restart: Restart | None = None
    latency: Latency | None = None
    start_up: StartUp | None = None
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of packages in other programs' environments."""
    not_measured: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """True if nothing was measured."""
        return self == Results(self.quick, versions=self.versions, not_measured=self.not_measured)

    def runs_of(self, name: str, n_users: int, n_records: int | None = None) -> ProgramRuns | None:
        """Return the successful runs of a program, by default on its longest input with this number of users."""
        found = [runs for runs in self.programs if runs.name == name and runs.n_users == n_users and runs.usages]
        found = [runs for runs in found if n_records in (None, runs.n_records)]
        return max(found, key=lambda runs: runs.n_records, default=None)

    def one_record_at(self, n_users: int) -> OneRecord | None:
        """Return the steps of one record with a number of users."""
        return next((each for each in self.one_record if each.n_users == n_users), None)

    def changed_users_at(self, n_users: int) -> ChangedUsers | None:
        """Return the steps with 1 % of the users changed with a number of users."""
        return next((each for each in self.changed_users if each.n_users == n_users), None)

    def cell_steps_at(self, n_users: int, scale: str) -> ChangedUsers | None:
        """Return the steps with --fit cells with a number of users."""
        found = (each.steps for each in self.cell_steps if each.scale == scale)
        return next((steps for steps in found if steps.n_users == n_users), None)

    def user_counts(self) -> list[int]:
        """Return the numbers of users at which programs were compared, ascending."""
        return sorted({runs.n_users for runs in self.programs})


def as_json(results: Results, seconds: float) -> dict[str, Any]:
    """Return the results for the JSON file, without the targets."""
    found = asdict(results)
    del found["programs"]
    found["lines"] = [runs_as_json(runs) for runs in results.programs]
    return {"about": about(seconds), **found}


def runs_as_json(runs: ProgramRuns) -> dict[str, Any]:
    """Return the runs of one program on one input."""
    found: dict[str, Any] = {"name": runs.name, "n_users": runs.n_users, "n_records": runs.n_records}
    if runs.usages:
        summaries = {"records_per_second": runs.rate, "cpu_seconds_per_million": runs.cpu, "peak_mib": runs.peak}
        found |= {name: asdict(summary) for name, summary in summaries.items()}
        found["seconds"] = [round(usage.seconds, 3) for usage in runs.usages]
    if runs.old_rows:
        found["share_of_old_rows"] = runs.old_rows
    if runs.steps:
        found["steps"] = [[asdict(step) | {"at": step.at.isoformat()} for step in run] for run in runs.steps]
    return found | ({"error": runs.error} if runs.error else {})


def about(seconds: float) -> dict[str, Any]:
    """Return date, commit, versions and machine of a run."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": git("rev-parse", "HEAD"),
        "changed_since_commit": bool(git("status", "--porcelain", "user_classifier.py", "classifier")),
        "seconds": round(seconds),
        **machine(),
        "versions": {"python": platform.python_version(), **versions(PACKAGES)},
    }


def machine() -> dict[str, Any]:
    """Return the processor, cores, memory and system."""
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
    """Return the versions of those packages that are installed here."""
    found = {}
    for name in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def git(*arguments: str) -> str:
    """Return the output of a git command; empty outside a repository."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def save(directory: Path, found: dict[str, Any]) -> Path:
    """Write latest.json; return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "latest.json"
    path.write_text(json.dumps(rounded(found), indent=1) + "\n", encoding="utf-8")
    return path


def rounded(value: Any) -> Any:
    """Return the value with all floats rounded to four significant digits, the precision of a measurement."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [rounded(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return value
