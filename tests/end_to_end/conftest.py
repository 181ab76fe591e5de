"""One Flink cluster for all end-to-end tests; each test's broker and registry are its own."""

from collections.abc import Iterator

import pytest

from local.services import FlinkCluster, free_port


@pytest.fixture(scope="session")
def flink(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    """A cluster that commits twice a second, so that tests need not wait."""
    if request.config.getoption("--no-kafka"):
        pytest.skip("--no-kafka was given")
    cluster = FlinkCluster(tmp_path_factory.mktemp("flink"), free_port(), checkpoint_seconds=0.5)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
