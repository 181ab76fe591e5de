"""Which of a cluster's jobs still run, by what its JobManager answers."""

from collections.abc import Mapping
from typing import Any

import pytest

from local.sql.jobs import Jobs


class Cluster(Jobs):
    """Jobs that are listed here: id, name and state."""

    def __init__(self, *jobs: tuple[str, str, str]) -> None:
        super().__init__("http://flink")
        self.overview = [dict(zip(("jid", "name", "state"), job, strict=True)) for job in jobs]

    def _get(self, path: str) -> Mapping[str, Any]:
        return {"jobs": self.overview}


@pytest.mark.parametrize("state", ["INITIALIZING", "CREATED", "RUNNING", "RESTARTING", "RECONCILING"])
def test_job_that_runs_or_is_about_to(state: str) -> None:
    """One that was submitted a moment ago must not be started twice."""
    assert Cluster(("1", "other", "RUNNING"), ("2", "mine", "FAILED"), ("3", "mine", state)).find("mine") == "3"


@pytest.mark.parametrize("state", ["FAILING", "FAILED", "CANCELLING", "CANCELED", "FINISHED"])
def test_job_that_does_not_come_back(state: str) -> None:
    """It can be started again."""
    assert Cluster(("1", "mine", state)).find("mine") is None
