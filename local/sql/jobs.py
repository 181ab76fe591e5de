"""The jobs of a Flink cluster through its REST interface: states, errors, and stopping with a savepoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests

from local.services.process import ServiceError
from local.sql.sql_gateway import innermost_cause

ANSWER_SECONDS = 10.0
SAVEPOINT_SECONDS = 60.0
CANCEL_SECONDS = 60.0
TASKS_SECONDS = 30.0
"""The longest time until all tasks run of a job that was just submitted or restarts after a failure."""
POLL_SECONDS = 0.1

RUNNING = "RUNNING"
ENDED = frozenset({"FAILED", "CANCELED", "FINISHED"})
ENDING = ENDED | {"FAILING", "CANCELLING"}
"""States from which a job does not recover; a submitted or restarting job is in none of them."""

Saved = Callable[[str, str], None]


class Jobs:
    """The jobs of the cluster whose JobManager answers at ``rest_url``."""

    def __init__(self, rest_url: str) -> None:
        self._url = rest_url

    def states(self) -> dict[str, str]:
        """Job id -> RUNNING, FAILED, CANCELED, ..."""
        return {job["jid"]: job["state"] for job in self._overview()}

    def find(self, name: str) -> str | None:
        """Return the id of the job of this name that runs or starts; None if there is none."""
        alive = (job["jid"] for job in self._overview() if job["name"] == name and job["state"] not in ENDING)
        return next(alive, None)

    def require_healthy(self) -> None:
        """Raise ServiceError if a job is FAILED; the message names the job and the cause."""
        for job in self._overview():
            if job["state"] == "FAILED":
                trace = self._get(f"/jobs/{job['jid']}/exceptions").get("root-exception") or ""
                raise ServiceError(f"Flink's job {job['name']} failed: {innermost_cause(trace)}")

    def cancel_all(self) -> None:
        """Cancel every job that runs or starts, and wait until all have ended."""
        for job_id, state in self.states().items():
            if state not in ENDING:
                requests.patch(f"{self._url}/jobs/{job_id}", timeout=ANSWER_SECONDS).raise_for_status()
        deadline = time.monotonic() + CANCEL_SECONDS
        while any(state not in ENDED for state in self.states().values()):
            if time.monotonic() > deadline:
                raise ServiceError(f"Flink's jobs did not end within {CANCEL_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    def stop(self, job_ids: list[str], directory: Path, saved: Saved = lambda job_id, path: None) -> None:
        """Stop jobs with a savepoint, after they have written and committed all they have read.

        A job is left alone if its tasks do not all run within 30 s; its state is then its last checkpoint.

        Parameters
        ----------
        saved : called with a job's id and the path of its savepoint, as soon as that is complete.
        """
        triggers = {}
        for job_id in job_ids:
            if self.await_tasks(job_id):
                body = {"targetDirectory": directory.as_uri()}
                answer = requests.post(f"{self._url}/jobs/{job_id}/stop", json=body, timeout=ANSWER_SECONDS)
                answer.raise_for_status()
                triggers[job_id] = answer.json()["request-id"]
        for job_id, trigger in triggers.items():
            saved(job_id, self._savepoint(job_id, trigger))

    def await_tasks(self, job_id: str) -> bool:
        """Wait up to 30 s until all tasks of a job run; return whether they do.

        A submitted job is RUNNING a moment before its tasks are. Until then Flink refuses to stop it, and a SELECT that
        is cancelled ends the TaskManager: closing its sink, which was not opened, raises a NullPointerException.
        """
        deadline = time.monotonic() + TASKS_SECONDS
        while time.monotonic() < deadline:
            job = self._get(f"/jobs/{job_id}")
            if job["state"] in ENDING:
                return False
            if all(task["status"] in {RUNNING, "FINISHED"} for task in job["vertices"]):
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _savepoint(self, job_id: str, trigger: str) -> str:
        deadline = time.monotonic() + SAVEPOINT_SECONDS
        while time.monotonic() < deadline:
            answer = self._get(f"/jobs/{job_id}/savepoints/{trigger}")
            if answer["status"]["id"] == "COMPLETED":
                operation = answer["operation"]
                if "location" not in operation:
                    cause = innermost_cause(operation["failure-cause"]["stack-trace"])
                    raise ServiceError(f"Flink's job {job_id} could not be stopped: {cause}")
                return str(operation["location"])
            time.sleep(POLL_SECONDS)
        raise ServiceError(f"Flink's job {job_id} did not stop within {SAVEPOINT_SECONDS:.0f} s")

    def _overview(self) -> list[dict[str, str]]:
        jobs: list[dict[str, str]] = self._get("/jobs/overview")["jobs"]
        return jobs

    def _get(self, path: str) -> Mapping[str, Any]:
        answer = requests.get(f"{self._url}{path}", timeout=ANSWER_SECONDS)
        answer.raise_for_status()
        document: Mapping[str, Any] = answer.json()
        return document


def latest_checkpoint(directory: Path, job_id: str) -> str | None:
    """Return the last complete checkpoint of a job; None if it has none."""
    done = [path.parent for path in (directory / job_id).glob("chk-*/_metadata")]
    return max(done, key=_checkpoint_number).as_uri() if done else None


def _checkpoint_number(path: Path) -> int:
    return int(path.name.removeprefix("chk-"))
