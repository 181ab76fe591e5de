"""Services that fault tests may kill, shared by all of them."""

from collections.abc import Iterator

import pytest

from tests.faults.cluster import running_cluster
from tests.faults.stack import RelayedStack, Stack, running_stack


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayedStack]:
    """A broker, a registry and a relay for fault tests."""
    if request.config.getoption("--no-kafka"):
        pytest.skip("--no-kafka was given")
    with running_stack(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Three brokers and a registry for fault tests."""
    if request.config.getoption("--no-kafka"):
        pytest.skip("--no-kafka was given")
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running
