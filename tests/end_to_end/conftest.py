"""One Flink cluster for all end-to-end tests, and a workspace on the shared broker and registry."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.services.flink import FlinkCluster
from local.services.process import free_port
from tests.end_to_end.sessions import Session
from tests.support.pipeline import Services


@pytest.fixture(scope="session")
def flink(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    """A cluster with two checkpoints a second, to keep the tests short."""
    if request.config.getoption("--no-kafka"):
        pytest.skip("--no-kafka was given")
    cluster = FlinkCluster(tmp_path_factory.mktemp("flink"), free_port(), checkpoint_seconds=0.5)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def session(flink: FlinkCluster, services: Services, tmp_path: Path) -> Iterator[Session]:
    """A workspace for one test; its jobs are cancelled after the test."""
    session = Session(services, flink, tmp_path)
    yield session
    session.jobs.cancel_all()
