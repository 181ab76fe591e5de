"""The states of jobs in the answers of the JobManager."""

from collections.abc import Mapping
from typing import Any

import pytest

from local.sql.jobs import Jobs


class Cluster(Jobs):
    """Jobs given as id, name and state."""

    def __init__(self, *jobs: tuple[str, str, str]) -> None:
        super().__init__("http://flink")
        self.overview = [dict(zip(("jid", "name", "state"), job, strict=True)) for job in jobs]

    def _get(self, path: str) -> Mapping[str, Any]:
        return {"jobs": self.overview}


@pytest.mark.parametrize("state", ["INITIALIZING", "CREATED", "RUNNING", "RESTARTING", "RECONCILING"])
def test_a_running_or_starting_job_is_found(state: str) -> None:
    """Otherwise a job that was submitted a moment ago would be started twice."""
    assert Cluster(("1", "other", "RUNNING"), ("2", "mine", "FAILED"), ("3", "mine", state)).find("mine") == "3"


@pytest.mark.parametrize("state", ["FAILING", "FAILED", "CANCELLING", "CANCELED", "FINISHED"])
def test_an_ended_job_is_not_found(state: str) -> None:
    assert Cluster(("1", "mine", state)).find("mine") is None
