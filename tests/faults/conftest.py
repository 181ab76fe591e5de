"""The stack that faults may break, shared by them all."""

from collections.abc import Iterator

import pytest

from tests.faults.report import Result
from tests.faults.stack import Stack, running_stack

RESULTS: list[Result] = []


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A broker, a registry and a relay of the faults' own."""
    if request.config.getoption("--no-kafka"):
        pytest.skip("--no-kafka was given")
    with running_stack(tmp_path_factory.mktemp("faults")) as running:
        yield running
