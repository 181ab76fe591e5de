"""Services that fault tests may kill, shared by all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import running_cluster
from tests.faults.stack import RelayedStack, Stack, running_stack
from tests.faults.two_brokers import TwoBrokers, running_two_brokers


@pytest.fixture(scope="session")
def services_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of all services; skips the test if there are to be none."""
    if request.config.getoption("--no-kafka"):
        pytest.skip("--no-kafka was given")
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="session")
def stack(services_path: Path) -> Iterator[RelayedStack]:
    """A broker, a registry and relays for fault tests."""
    with running_stack(services_path / "one") as running:
        yield running


@pytest.fixture(scope="session")
def cluster(services_path: Path) -> Iterator[Stack]:
    """Three brokers, a registry and relays for fault tests."""
    with running_cluster(services_path / "three") as running:
        yield running


@pytest.fixture(scope="session")
def both_brokers(services_path: Path) -> Iterator[TwoBrokers]:
    """Two brokers, a relay for each and a registry."""
    with running_two_brokers(services_path / "two") as running:
        yield running


@pytest.fixture
def two_brokers(both_brokers: TwoBrokers) -> Iterator[TwoBrokers]:
    """Two brokers without a fault at the beginning of the test, nor after it."""
    yield both_brokers
    both_brokers.lift_all()
