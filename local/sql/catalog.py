"""The catalog of a workspace, as Confluent Cloud keeps it: created tables and running statements."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """A running statement, or with a rate the Datagen stream."""

    name: str
    job_id: str
    statement: str = ""
    rows_per_second: int = 0
    savepoint: str | None = None
    """The path of its savepoint, if it was stopped gracefully."""


class Catalog:
    """Tables (as CREATE TABLE statements) and jobs, kept in a file."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "catalog.json"
        document = json.loads(self._path.read_text(encoding="utf-8")) if self._path.is_file() else {}
        self.tables: dict[str, str] = document.get("tables", {})
        self.jobs = {entry["name"]: Job(**entry) for entry in document.get("jobs", [])}

    def add_table(self, name: str, statement: str) -> None:
        """Add a table."""
        self.tables[name] = statement
        self._write()

    def add_job(self, job: Job) -> None:
        """Add a job; it replaces an earlier one of the same name."""
        self.jobs[job.name] = job
        self._write()

    def keep_jobs(self, savepoints: Mapping[str, str | None]) -> None:
        """Keep only these jobs, each with its savepoint; None for a job without one."""
        self.jobs = {name: replace(self.jobs[name], savepoint=path) for name, path in savepoints.items()}
        self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        document = {"tables": self.tables, "jobs": [asdict(job) for job in self.jobs.values()]}
        # An interruption leaves either the old file or the new one.
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        new.replace(self._path)
