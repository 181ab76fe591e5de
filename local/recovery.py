"""What makes statements outlive Flink: stop them with their state saved, and resume them from it."""

from __future__ import annotations

from pathlib import Path

from local.catalog import Catalog, Job
from local.flink import CHECKPOINTS
from local.jobs import RUNNING, Jobs, latest_checkpoint
from local.workspace import Echo, Workspace


def save_jobs(directory: Path, jobs: Jobs) -> list[str]:
    """Stop the running jobs of a workspace and remember their savepoints; the names of the jobs.

    One that does not run any more was stopped by its user, or has failed: it is forgotten.
    """
    catalog, states = Catalog(directory), jobs.states()
    running = {job.job_id: job.name for job in catalog.jobs.values() if states.get(job.job_id) == RUNNING}
    paths = jobs.stop(list(running), directory / "flink" / "savepoints")
    catalog.keep_jobs({running[job_id]: path for job_id, path in paths.items()})
    return list(running.values())


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
