"""The statements that resume at the next `up`, and their savepoints."""

from collections.abc import Callable
from pathlib import Path

import pytest

from local.services.process import ServiceError
from local.sql.catalog import Catalog, Job
from local.sql.jobs import Jobs
from local.sql.recovery import save_jobs


class Cluster(Jobs):
    """Running jobs, name -> id; one job cannot be stopped, and the tasks of another do not run yet."""

    def __init__(self, running: dict[str, str], refusing: str = "", starting: str = "") -> None:
        super().__init__("http://flink")
        self.running = running
        self.refusing = refusing
        self.starting = starting

    def find(self, name: str) -> str | None:
        """Return the id of a job."""
        return self.running.get(name)

    def stop(
        self, job_ids: list[str], directory: Path, saved: Callable[[str, str], None] = lambda job_id, path: None
    ) -> None:
        """Stop the jobs in order; fail at the one that cannot be stopped."""
        for job_id in job_ids:
            if job_id == self.refusing:
                raise ServiceError("could not be stopped")
            if job_id != self.starting:
                saved(job_id, f"{directory.name}/{job_id}")


def catalog(directory: Path, *jobs: Job) -> None:
    """Record jobs in the catalog."""
    for job in jobs:
        Catalog(directory).add_job(job)


def test_running_jobs_are_saved(tmp_path: Path) -> None:
    """A job that has ended is removed; a job that was restarted has another id."""
    catalog(tmp_path, Job("a", "1", "INSERT a"), Job("b", "2", "INSERT b"), Job("c", "3", "INSERT c"))
    assert save_jobs(tmp_path, Cluster({"a": "1", "c": "9"})) == ["a", "c"]
    assert Catalog(tmp_path).jobs == {
        "a": Job("a", "1", "INSERT a", savepoint="savepoints/1"),
        "c": Job("c", "9", "INSERT c", savepoint="savepoints/9"),
    }


def test_a_starting_job_is_kept(tmp_path: Path) -> None:
    """It resumes from its last checkpoint."""
    catalog(tmp_path, Job("a", "1"))
    assert save_jobs(tmp_path, Cluster({"a": "1"}, starting="1")) == ["a"]
    assert Catalog(tmp_path).jobs == {"a": Job("a", "1")}


def test_a_second_call_keeps_the_savepoints_of_the_first(tmp_path: Path) -> None:
    """The first call fails at one of two jobs."""
    catalog(tmp_path, Job("a", "1"), Job("b", "2"))
    with pytest.raises(ServiceError):
        save_jobs(tmp_path, Cluster({"a": "1", "b": "2"}, refusing="2"))
    assert save_jobs(tmp_path, Cluster({"b": "2"})) == ["a", "b"]
    assert {job.name: job.savepoint for job in Catalog(tmp_path).jobs.values()} == {
        "a": "savepoints/1",
        "b": "savepoints/2",
    }
