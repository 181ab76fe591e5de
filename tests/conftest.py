"""What all tests share: one real broker and one real registry, started when the first test needs them."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.pipeline import Pipeline, Services, new_name, running_services
from tests.support.workers import longest_first, unit_of

# Variables for proxies and certificates concern other machines; tests use loopback only, and set the variables that
# they test.
OUTSIDE = ("all_proxy", "http_proxy", "https_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir", "sslkeylogfile")
for name in [each for each in os.environ if each.lower() in OUTSIDE]:
    del os.environ[name]

# The same examples in every run and on every machine, and no judgement by the clock.
settings.register_profile(
    "repeatable", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# `pytest --hypothesis-profile=search` looks for new ones.
settings.register_profile("search", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def collect_garbage_here() -> Iterator[None]:
    """Collect garbage in this thread: collecting a Kafka client in a thread of librdkafka ends the process."""
    gc.disable()
    yield
    gc.collect(1)  # recent objects; all of them would take a tenth of a second


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of these tests."""
    parser.addoption("--no-kafka", action="store_true", help="skip the tests that need a real broker and registry")
    parser.addoption("--by-services", action="store_true", help="with -n: distribute tests by the services they share")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute units of work instead of files."""
    if not config.getoption("--by-services"):
        return None
    from xdist.scheduler import LoadScopeScheduling

    class UnitScheduling(LoadScopeScheduling):  # type: ignore[misc]  # without types
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    config.option.loadscopereorder = False
    return UnitScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest units first."""
    if config.getoption("--by-services"):
        order = {nodeid: index for index, nodeid in enumerate(longest_first(item.nodeid for item in items))}
        items.sort(key=lambda item: order[item.nodeid])


@pytest.fixture(scope="session")
def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A broker and a registry on free ports; if they do not start, the tests fail."""
    if request.config.getoption("--no-kafka"):
        pytest.skip("--no-kafka was given")
    with running_services(tmp_path_factory.mktemp("services")) as running:
        yield running


MakePipeline = Callable[..., Pipeline]


@pytest.fixture
def make_pipeline(services: Services, tmp_path: Path, request: pytest.FixtureRequest) -> MakePipeline:
    """Make pipelines with new topics and a new group: `make_pipeline(partitions=6)`."""

    def make(partitions: int = 1) -> Pipeline:
        return Pipeline(services, tmp_path, new_name(request.node.name), partitions)

    return make


@pytest.fixture
def pipeline(make_pipeline: MakePipeline) -> Pipeline:
    """A pipeline with one partition."""
    return make_pipeline()
