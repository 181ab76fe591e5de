"""SIGTERM in an outage: the client ends in time, and its last line states whether the last step is committed."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from classifier.stop import COMMITTED, GRACE_SECONDS, NOT_COMMITTED, UNKNOWN
from local.services.process import Service
from tests.faults.relay import Api, Harm
from tests.faults.stack import RelayedStack
from tests.support import oracle
from tests.support.changelog import aggregation, of_other_users, place_by_hash
from tests.support.client import Client
from tests.support.pipeline import Pipeline, new_name
from tests.support.waiting import wait_until

CHANGES = aggregation(seed=7, n_users=12, n_transactions=60)
MORE = of_other_users(aggregation(seed=9, n_users=20, n_transactions=100))
KILLED_AFTER_S = 30.0
"""The grace period of Kubernetes; the client must end long before."""


@pytest.fixture
def pipeline(stack: RelayedStack, tmp_path: Path, request: pytest.FixtureRequest) -> Pipeline:
    """A pipeline whose client is connected through the relay."""
    made = Pipeline(stack.services, tmp_path, new_name(request.node.name))
    for section in ("consumer", "producer"):
        made.configure(section, bootstrap_servers=stack.relay.bootstrap_servers)
    made.write(place_by_hash(CHANGES, 1))
    return made


@contextmanager
def frozen(*services: Service) -> Iterator[None]:
    """Freeze services: they accept connections and never answer."""
    processes = [psutil.Process(service.pid) for service in services]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


@contextmanager
def labelling(pipeline: Pipeline) -> Iterator[Client]:
    """A running client that has labelled everything."""
    with Client(pipeline.arguments("--batch-interval", "0.1"), pipeline.directory / "log") as client:
        wait_until(lambda: pipeline.lag() == 0 or not client.running, "the first labels")
        yield client


def ended(client: Client) -> tuple[int, str]:
    """Send SIGTERM; return the exit code and the last line."""
    client.send(signal.SIGTERM)
    return client.wait(KILLED_AFTER_S), client.output.splitlines()[-1]


def assert_continues(pipeline: Pipeline) -> None:
    """The next start restores a correct state and completes it."""
    with Client(pipeline.arguments("--until-end"), pipeline.directory / "next") as client:
        assert client.wait() == 0, client.output
    wait_until(lambda: pipeline.lag() == 0, "the offsets to be in force")
    assert pipeline.labelling() == oracle.labelled(CHANGES + (MORE if pipeline.n_written > len(CHANGES) else []))
    pipeline.assert_offsets_sound()
    pipeline.assert_nothing_doubled()


def test_the_broker_does_not_answer_between_steps(stack: RelayedStack, pipeline: Pipeline) -> None:
    with labelling(pipeline) as client, frozen(stack.broker):
        code, last = ended(client)
        assert code == 0, client.output
        assert last.endswith(COMMITTED) or last.endswith("offsets committed")
    assert_continues(pipeline)


@pytest.mark.parametrize(
    ("api", "state"), [(Api.PRODUCE, NOT_COMMITTED), (Api.ADD_PARTITIONS_TO_TXN, NOT_COMMITTED), (Api.END_TXN, UNKNOWN)]
)
def test_the_broker_does_not_answer_within_a_step(
    api: Api, state: str, stack: RelayedStack, pipeline: Pipeline
) -> None:
    with labelling(pipeline) as client:
        stack.relay.arm(api, Harm.DROP_REQUEST)
        pipeline.write(place_by_hash(MORE, 1))
        assert stack.relay.sprung.wait(30.0)
        with frozen(stack.broker):
            code, last = ended(client)
        assert (code, last.endswith(state)) == (1, True), client.output
    assert_continues(pipeline)


@pytest.mark.parametrize("frozen_service", ["broker", "registry"])
def test_a_start_during_an_outage(frozen_service: str, stack: RelayedStack, pipeline: Pipeline) -> None:
    service: Service = getattr(stack, frozen_service)
    with frozen(service), Client(pipeline.arguments(), pipeline.directory / "log") as client:
        wait_until(lambda: client.is_connected_to({stack.relay.port, stack.registry.port}), "the client to connect")
        code, last = ended(client)
        assert (code, last.endswith(COMMITTED)) == (0, True), client.output
    assert_continues(pipeline)


def test_a_client_that_hangs_ends_after_the_grace_period(
    stack: RelayedStack, pipeline: Pipeline, tmp_path: Path
) -> None:
    """No call of the client takes that long; if one ever did, the last line would be written all the same."""
    hang = tmp_path / "hang.py"
    hang.write_text(
        "import sys, time, user_classifier\n"
        "user_classifier.Classifier.label_changes = lambda self: time.sleep(3600)\n"
        "sys.exit(user_classifier.main(sys.argv[1:]))\n"
    )
    with Client(pipeline.arguments(), tmp_path / "log", script=hang) as client:
        client.wait_for_output("users restored")
        code, last = ended(client)
        assert code == 0
        message = f"stop requested, but a call did not return within {GRACE_SECONDS:.0f} s; {COMMITTED}"
        assert last == f"user_classifier.py: error: {message}"
