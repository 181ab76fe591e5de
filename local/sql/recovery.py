"""Running statements across a stop of Flink: stop them with a savepoint, and resume them from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from local.services.artifacts import Echo
from local.services.flink import CHECKPOINTS
from local.sql.catalog import Catalog, Job
from local.sql.jobs import Jobs, latest_checkpoint
from local.sql.workspace import Workspace


def save_jobs(directory: Path, jobs: Jobs) -> list[str]:
    """Stop the running jobs of a workspace, record their savepoints, and return the names of the jobs to resume.

    A job that does not run was stopped by its user or has failed, and is removed from the catalog. A job with a
    recorded savepoint is kept: an earlier call stopped it and was interrupted before it had stopped all jobs.
    """
    catalog = Catalog(directory)
    # Found by name: if the command that started a job was interrupted, the catalog has another id or none.
    found = {name: jobs.find(name) for name in catalog.jobs}
    running = {job_id: name for name, job_id in found.items() if job_id is not None}
    stopped = {name: job.savepoint for name, job in catalog.jobs.items() if job.savepoint}
    catalog.keep_jobs({**stopped, **dict.fromkeys(running.values())})
    for job_id, name in running.items():
        catalog.add_job(replace(catalog.jobs[name], job_id=job_id))

    def saved(job_id: str, path: str) -> None:
        catalog.add_job(replace(catalog.jobs[running[job_id]], savepoint=path))

    jobs.stop(list(running), directory / "flink" / "savepoints", saved)
    return list(catalog.jobs)


def resume_jobs(directory: Path, workspace: Workspace, echo: Echo) -> None:
    """Restart the jobs of the catalog from their savepoints, or after a crash from their last checkpoints."""
    for job in list(Catalog(directory).jobs.values()):
        state = job.savepoint or latest_checkpoint(directory / "flink" / CHECKPOINTS, job.job_id)
        # Without a checkpoint the job has committed nothing, so it can start from the beginning.
        _resume(job, workspace, state)
        echo(f"{job.name} resumed")


def _resume(job: Job, workspace: Workspace, state: str | None) -> None:
    if job.rows_per_second:
        workspace.start_datagen(job.rows_per_second, state)
    else:
        workspace.run(job.statement, state)
