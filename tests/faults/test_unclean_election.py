"""Three brokers elect an unclean leader that lacks the last records; a clean change of the leader loses nothing."""

from pathlib import Path

import pytest

from tests.faults.cluster import Leadership
from tests.faults.committed_records import wait_for_labels, wrong_labels, wrong_records
from tests.faults.shortened_input import shorten_by_election
from tests.faults.stack import Stack
from tests.faults.unclean_election import holders, input_on_two, lose_by_election, wait_for_leader
from tests.support import client
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.client import Client
from tests.support.pipeline import Pipeline, new_name
from tests.support.waiting import wait_until

LOST = "lost its records from offset"


@pytest.fixture
def pipeline(cluster: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Pipeline:
    """A pipeline whose input is on two of the brokers, which may elect an unclean leader."""
    made = Pipeline(cluster.services, tmp_path, new_name(request.node.name))
    input_on_two(made)
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


def read(pipeline: Pipeline, running: Client | None) -> None:
    """Have all records read, by the client that runs or by another one."""
    ends = pipeline.topics.ends(pipeline.source)
    if running is None:
        finished = client.run(pipeline.arguments("--until-end"))
        assert finished.code == 0, finished.output
    else:
        wait_until(lambda: pipeline.offsets() == ends or not running.running, "all to be read")


@pytest.mark.parametrize("runs", [False, True], ids=["stopped", "running"])
def test_unclean_election(cluster: Stack, pipeline: Pipeline, tmp_path: Path, runs: bool) -> None:
    left = write(pipeline, inserts(0, 35))

    def append() -> None:
        write(pipeline, inserts(35, 20))
        read(pipeline, running if runs else None)

    with Client(pipeline.arguments("--batch-interval", "0.2"), tmp_path / "client.log") as running:
        wait_for_labels(running, pipeline, left)
        if not runs:
            assert running.stop() == 0, running.output
        leader = lose_by_election(cluster, pipeline.source, append)
        left += write(pipeline, inserts(55, 30))
        leader.start()
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
        leader, follower = holders(cluster, pipeline.source)
        leader.stop()
        wait_for_leader(cluster, pipeline.source, follower)
        changes += write(pipeline, inserts(35, 5))
        wait_for_labels(running, pipeline, changes)
        assert running.stop() == 0, running.output
    leader.start()
    Leadership(cluster).wait_in_sync()
    changes += write(pipeline, inserts(40, 5))
    for _ in range(2):
        finished = client.run(pipeline.arguments("--until-end"))
        assert finished.code == 0, finished.output
    assert wrong_labels(pipeline, changes) == []
    assert wrong_records(pipeline, changes) == []


def test_among_random_changes(cluster: Stack, tmp_path: Path) -> None:
    """The scenario of `make chaos`, with one election, under a running client."""
    result = shorten_by_election(cluster, tmp_path, seed=1, running=[True])
    assert result.passed, str(result)
