"""What Confluent Cloud remembers of a workspace: the tables that were created and the statements that keep running."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """A statement that keeps running, or the Datagen stream if it has a rate."""

    name: str
    job_id: str
    statement: str = ""
    rows_per_second: int = 0
    savepoint: str | None = None
    """Where its state was saved when it was stopped in good order."""


class Catalog:
    """A file of tables, as their CREATE TABLE statements, and of jobs."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "catalog.json"
        document = json.loads(self._path.read_text(encoding="utf-8")) if self._path.is_file() else {}
        self.tables: dict[str, str] = document.get("tables", {})
        self.jobs = {entry["name"]: Job(**entry) for entry in document.get("jobs", [])}

    def add_table(self, name: str, statement: str) -> None:
        """Remember a table."""
        self.tables[name] = statement
        self._write()

    def add_job(self, job: Job) -> None:
        """Remember a job in place of an earlier one of its name."""
        self.jobs[job.name] = job
        self._write()

    def keep_jobs(self, savepoints: Mapping[str, str | None]) -> None:
        """Remember these jobs alone, by name, with the savepoint of each, None if there is none yet."""
        self.jobs = {name: replace(self.jobs[name], savepoint=path) for name, path in savepoints.items()}
        self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        document = {"tables": self.tables, "jobs": [asdict(job) for job in self.jobs.values()]}
        # Written beside and renamed: an interruption leaves the old file or the new one.
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        beside.replace(self._path)
