"""What makes statements outlive Flink: stop them with their state saved, and resume them from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from local.services.artifacts import Echo
from local.services.flink import CHECKPOINTS
from local.sql.catalog import Catalog, Job
from local.sql.jobs import Jobs, latest_checkpoint
from local.sql.workspace import Workspace


def save_jobs(directory: Path, jobs: Jobs) -> list[str]:
    """Stop the running jobs of a workspace and remember their savepoints; the names of the jobs.

    One that does not run any more was stopped by its user, or has failed: it is forgotten. Not so one whose savepoint
    is remembered: it was stopped here, by a run that was ended before it had stopped all.
    """
    catalog = Catalog(directory)
    # By name: one that was started by a run that was ended in between has another id than is written down.
    running = {job_id: name for name in catalog.jobs if (job_id := jobs.find(name)) is not None}
    stopped = {name: job.savepoint for name, job in catalog.jobs.items() if job.savepoint}
    catalog.keep_jobs({**stopped, **dict.fromkeys(running.values())})
    for job_id, name in running.items():
        catalog.add_job(replace(catalog.jobs[name], job_id=job_id))

    def saved(job_id: str, path: str) -> None:
        catalog.add_job(replace(catalog.jobs[running[job_id]], savepoint=path))

    jobs.stop(list(running), directory / "flink" / "savepoints", saved)
    return list(catalog.jobs)


def resume_jobs(directory: Path, workspace: Workspace, echo: Echo) -> None:
    """Start the remembered jobs again, from their savepoints, or after a crash from their last checkpoints."""
    for job in list(Catalog(directory).jobs.values()):
        state = job.savepoint or latest_checkpoint(directory / "flink" / CHECKPOINTS, job.job_id)
        # No checkpoint: nothing of the job was ever committed, so it may begin at the beginning.
        _resume(job, workspace, state)
        echo(f"{job.name} goes on")


def _resume(job: Job, workspace: Workspace, state: str | None) -> None:
    if job.rows_per_second:
        workspace.start_datagen(job.rows_per_second, state)
    else:
        workspace.run(job.statement, state)
