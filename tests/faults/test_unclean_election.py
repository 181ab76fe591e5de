"""Three brokers elect an unclean leader that lacks the last records; a clean change of the leader loses nothing."""

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from local.services.kafka import KafkaBroker
from tests.faults.cluster import Leadership
from tests.faults.committed_records import wait_for_labels, wrong_labels, wrong_records
from tests.faults.stack import Stack
from tests.support import client
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.client import Client
from tests.support.metadata import all_know
from tests.support.pipeline import Pipeline, new_name
from tests.support.topics import TIMEOUT_S
from tests.support.waiting import wait_until

LEADER, FOLLOWER = 1, 2
"""Node ids of the two brokers that hold the input."""
UNCLEAN = {"unclean.leader.election.enable": "true", "min.insync.replicas": "1"}
LOST = "lost its records from offset"


@pytest.fixture
def pipeline(cluster: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Pipeline:
    """A pipeline whose input is on two of the brokers, which may elect an unclean leader."""
    made = Pipeline(cluster.services, tmp_path, new_name(request.node.name))
    made.topics.delete(made.source)
    admin = AdminClient({"bootstrap.servers": made.topics.bootstrap_servers, "log_level": 0})
    topic = NewTopic(made.source, num_partitions=1, replica_assignment=[[LEADER, FOLLOWER]], config=UNCLEAN)
    admin.create_topics([topic])[made.source].result(TIMEOUT_S)
    wait_until(lambda: all_know(admin, made.source, 1), f"every broker to know {made.source}", TIMEOUT_S)
    return made


def inserts(first: int, n_users: int) -> list[Change]:
    """New users."""
    return [
        Change(Op.INSERT, Row(f"User_{i:03}", 10.0 ** (i % 3) * (1 + i), 1 + i)) for i in range(first, first + n_users)
    ]


def write(pipeline: Pipeline, changes: list[Change]) -> list[Change]:
    """Write changes; return them."""
    pipeline.write([Placed(0, change) for change in changes])
    return changes


def broker(cluster: Stack, node_id: int) -> KafkaBroker:
    """Return a broker."""
    return next(each for each in cluster.brokers if each.node_id == node_id)


def wait_for_leader(cluster: Stack, pipeline: Pipeline, node_id: int) -> None:
    """Wait until a broker leads the input."""
    leadership = Leadership(cluster)

    def leads() -> bool:
        try:
            return leadership.leader(pipeline.source, 0).node_id == node_id
        except KeyError:  # nobody does
            return False

    wait_until(leads, f"broker {node_id} to lead {pipeline.source}")


def lose_by_election(cluster: Stack, pipeline: Pipeline, lost: list[Change], running: Client | None = None) -> None:
    """Write records to the leader alone, let the client read them, and have the other broker elected without them."""
    leader, follower = broker(cluster, LEADER), broker(cluster, FOLLOWER)
    before = pipeline.topics.ends(pipeline.source)[0]
    follower.stop()
    write(pipeline, lost)
    if running is None:
        finished = client.run(pipeline.arguments("--until-end"))
        assert finished.code == 0, finished.output
    else:
        wait_until(lambda: pipeline.offsets().get(0) == before + len(lost) or not running.running, "all to be read")
    leader.kill()
    follower.start()
    wait_for_leader(cluster, pipeline, FOLLOWER)


@pytest.mark.parametrize("runs", [False, True], ids=["stopped", "running"])
def test_unclean_election(cluster: Stack, pipeline: Pipeline, tmp_path: Path, runs: bool) -> None:
    left = write(pipeline, inserts(0, 35))
    lost = inserts(35, 20)
    with Client(pipeline.arguments("--batch-interval", "0.2"), tmp_path / "client.log") as running:
        wait_for_labels(running, pipeline, left)
        if not runs:
            assert running.stop() == 0, running.output
        lose_by_election(cluster, pipeline, lost, running if runs else None)
        left += write(pipeline, inserts(55, 30))
        broker(cluster, LEADER).start()
        Leadership(cluster).wait_in_sync()
        if runs:
            try:
                code, output = running.wait(), running.output
            except TimeoutError:
                pytest.fail(f"{len(wrong_labels(pipeline, left))} users wrong:\n{running.output}")
        else:
            refused = client.run(pipeline.arguments("--until-end"))
            code, output = refused.code, refused.output
    assert code == 1, f"{len(wrong_labels(pipeline, left))} users wrong:\n{output}"
    assert LOST in output
    assert "--rebuild" in output.splitlines()[-1]
    rebuilt = client.run(pipeline.arguments("--until-end", "--rebuild"))
    assert rebuilt.code == 0, rebuilt.output
    assert wrong_labels(pipeline, left) == []


def test_a_clean_change_of_the_leader(cluster: Stack, pipeline: Pipeline, tmp_path: Path) -> None:
    """The client goes on, running and after a restart."""
    changes = write(pipeline, inserts(0, 35))
    Leadership(cluster).wait_in_sync()
    with Client(pipeline.arguments("--batch-interval", "0.2"), tmp_path / "client.log") as running:
        wait_for_labels(running, pipeline, changes)
        broker(cluster, LEADER).stop()
        wait_for_leader(cluster, pipeline, FOLLOWER)
        changes += write(pipeline, inserts(35, 5))
        wait_for_labels(running, pipeline, changes)
        assert running.stop() == 0, running.output
    broker(cluster, LEADER).start()
    Leadership(cluster).wait_in_sync()
    changes += write(pipeline, inserts(40, 5))
    for _ in range(2):
        finished = client.run(pipeline.arguments("--until-end"))
        assert finished.code == 0, finished.output
    assert wrong_labels(pipeline, changes) == []
    assert wrong_records(pipeline, changes) == []
