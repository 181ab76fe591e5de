"""Services that fault tests may kill, shared by all of them."""

from collections.abc import Iterator

import pytest

from tests.faults.cluster import running_cluster
from tests.faults.stack import RelayedStack, Stack, running_stack
from tests.faults.two_brokers import TwoBrokers, running_two_brokers


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


@pytest.fixture(scope="session")
def both_brokers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoBrokers]:
    """Two brokers, a relay for each and a registry."""
    if request.config.getoption("--no-kafka"):
        pytest.skip("--no-kafka was given")
    with running_two_brokers(tmp_path_factory.mktemp("two_brokers")) as running:
        yield running


@pytest.fixture
def two_brokers(both_brokers: TwoBrokers) -> Iterator[TwoBrokers]:
    """Two brokers without a fault at the beginning of the test, nor after it."""
    yield both_brokers
    both_brokers.lift_all()
