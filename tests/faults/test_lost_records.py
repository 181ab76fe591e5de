"""A topic loses its last records on the broker's disk and grows again: the client refuses to go on as if nothing were.

Other cases look alike, but lose no record that was read.
"""

import re
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.faults.committed_records import wait_for_labels, wrong_labels, wrong_records
from tests.faults.input_compaction import compact_until
from tests.faults.shortened_input import shorten_input
from tests.faults.stack import Stack
from tests.faults.truncation import lose_records, truncate
from tests.support import client, oracle
from tests.support.changelog import Aggregate, Change, Op, Placed, Row
from tests.support.client import Client
from tests.support.pipeline import Pipeline, new_name
from tests.support.topics import Outgoing
from tests.support.waiting import wait_until
from tests.support.wire import AGGREGATE_SCHEMA, body, frame

PARTITIONS = 2
LOST = "lost its records from offset"
REBUILD = "--rebuild"
# The metadata of a committed offset as version 0.22 wrote it.
OLD_MARK = re.compile(
    r"user_classifier/1 users=\d+(?: waiting=\d+)?(?: partitions=\d+)?(?: keys=avro)?(?: mode=\w+)?"
    r"(?: k=\d+(?: scale=\w+)?)?(?: by=\S+)?(?: input=\S+)?(?: output=\S+)?(?: several=\d+)?(?: since=\d+)?"
)


@pytest.fixture
def pipeline(stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Pipeline:
    """A pipeline of two partitions on the broker that loses records."""
    return Pipeline(stack.services, tmp_path, new_name(request.node.name), PARTITIONS)


def inserts(first: int, n_users: int) -> list[Change]:
    """New users."""
    return [
        Change(Op.INSERT, Row(f"User_{i:03}", 10.0 ** (i % 3) * (1 + i), 1 + i)) for i in range(first, first + n_users)
    ]


def write(pipeline: Pipeline, changes: Sequence[Change], partition: int) -> list[Change]:
    """Write changes into one partition, as a batch of its own; return them."""
    pipeline.write([Placed(partition, change) for change in changes])
    return list(changes)


def run(pipeline: Pipeline, *more: str) -> client.Finished:
    """Run the client to the end of the input."""
    return client.run(pipeline.arguments("--until-end", *more))


def run_well(pipeline: Pipeline, *more: str) -> None:
    """Run the client to the end of the input; it must end well."""
    finished = run(pipeline, *more)
    assert finished.code == 0, finished.output


def assert_rebuilt(pipeline: Pipeline, changes: Sequence[Change]) -> None:
    """Run with --rebuild; the labels must be those of what the input holds."""
    run_well(pipeline, REBUILD)
    assert wrong_labels(pipeline, changes) == []


# The input loses records that were read


def test_input_cut_while_the_client_is_stopped(stack: Stack, pipeline: Pipeline) -> None:
    left = write(pipeline, inserts(0, 35), 0) + write(pipeline, inserts(100, 5), 1)
    write(pipeline, inserts(35, 20), 0)
    run_well(pipeline)
    lose_records(stack.broker, pipeline.source, 0, 35)
    left += write(pipeline, inserts(55, 30), 0)  # beyond the committed offset
    refused = run(pipeline)
    assert wrong_labels(pipeline, left) != [], "or nothing was lost"
    assert refused.code == 1, f"{wrong_labels(pipeline, left)}\n{refused.output}"
    assert f"{pipeline.source} [0]" in refused.stderr
    assert f"{LOST} 35 on" in refused.stderr
    assert REBUILD in refused.stderr
    assert_rebuilt(pipeline, left)


def test_input_cut_while_the_client_is_stopped_and_as_long_as_before(stack: Stack, pipeline: Pipeline) -> None:
    """The record before the committed offset is another one, and nothing follows."""
    left = write(pipeline, inserts(0, 35), 0) + write(pipeline, inserts(100, 5), 1)
    write(pipeline, inserts(35, 20), 0)
    run_well(pipeline)
    lose_records(stack.broker, pipeline.source, 0, 35)
    left += write(pipeline, inserts(55, 20), 0)
    refused = run(pipeline)
    assert refused.code == 1, f"{len(wrong_labels(pipeline, left))} users wrong\n{refused.output}"
    assert f"{LOST} 35 on" in refused.stderr
    assert REBUILD in refused.stderr
    assert_rebuilt(pipeline, left)


@pytest.mark.parametrize("seen", [False, True], ids=["has grown again", "is still short"])
def test_input_cut_under_a_running_client(stack: Stack, pipeline: Pipeline, tmp_path: Path, seen: bool) -> None:
    """When the client reaches the broker again, the partition has grown, or is shorter than the client's position."""
    first = write(pipeline, inserts(0, 35), 0) + write(pipeline, inserts(100, 5), 1)
    lost = write(pipeline, inserts(35, 20), 0)
    with Client(pipeline.arguments("--batch-interval", "0.2"), tmp_path / "client.log") as running:
        wait_for_labels(running, pipeline, first + lost)
        if not seen:
            running.send(signal.SIGSTOP)
        lose_records(stack.broker, pipeline.source, 0, 35)
        more = write(pipeline, inserts(55, 30), 0)
        running.send(signal.SIGCONT)
        more += write(pipeline, inserts(85, 1), 0)
        try:
            code = running.wait()
        except TimeoutError:
            pytest.fail(f"{len(wrong_labels(pipeline, first + more))} users wrong:\n{running.output}")
        assert code == 1, running.output
        assert LOST in running.output.splitlines()[-1]
        assert REBUILD in running.output.splitlines()[-1]
    assert_rebuilt(pipeline, first + more)
    assert not any(user in pipeline.labelling() for user in ("User_035", "User_054"))


def test_input_cut_among_random_changes(stack: Stack, tmp_path: Path) -> None:
    """The scenario of `make chaos`: cut under a stopped and under a running client."""
    result = shorten_input(stack, tmp_path, seed=1)
    assert result.passed, str(result)


# The output loses the labels of its last step


def test_output_cut_to_the_step_before(stack: Stack, pipeline: Pipeline) -> None:
    """The users are the same, their rows are old."""
    table = Aggregate()
    users = [f"User_{number}" for number in range(20)]
    for number, user_id in enumerate(users):
        table.spend(user_id, 10.0 ** (number % 3) * (1 + number))
    write(pipeline, table.changes, 0)
    run_well(pipeline)
    before, n_written = pipeline.topics.ends(pipeline.output)[0], len(table.changes)
    for user_id in users:
        table.spend(user_id, 5.0)
    write(pipeline, table.changes[n_written:], 1)
    run_well(pipeline)
    lose_records(stack.broker, pipeline.output, 0, before)
    refused = run(pipeline)
    assert refused.code == 1, f"{len(wrong_labels(pipeline, table.changes))} of 20 users wrong\n{refused.output}"
    assert pipeline.output in refused.stderr
    assert REBUILD in refused.stderr
    assert_rebuilt(pipeline, table.changes)


# What looks alike, and is not to be refused


def restart(stack: Stack, pipeline: Pipeline) -> None:
    """Restart the broker; return once it leads the topics again."""
    stack.broker.stop()
    stack.broker.start()
    wait_until(lambda: has_leaders(pipeline), "the broker to lead the topics")


def has_leaders(pipeline: Pipeline) -> bool:
    """Return whether every partition of input and output has a leader."""
    try:
        for topic in (pipeline.source, pipeline.output):
            pipeline.topics.ends(topic)
    except KafkaException:
        return False
    return True


def test_a_clean_restart_of_the_broker(stack: Stack, pipeline: Pipeline, tmp_path: Path) -> None:
    """Under a running client, and while it is stopped."""
    changes = write(pipeline, inserts(0, 20), 0) + write(pipeline, inserts(20, 20), 1)
    with Client(pipeline.arguments("--batch-interval", "0.2"), tmp_path / "client.log") as running:
        wait_for_labels(running, pipeline, changes)
        restart(stack, pipeline)
        changes += write(pipeline, inserts(40, 5), 0)
        wait_for_labels(running, pipeline, changes)
        assert running.stop() == 0, running.output
    restart(stack, pipeline)
    run_well(pipeline)
    changes += write(pipeline, inserts(45, 5), 1)
    run_well(pipeline)
    assert wrong_labels(pipeline, changes) == []
    assert wrong_records(pipeline, changes) == []


def test_a_cut_of_records_that_were_not_read(stack: Stack, pipeline: Pipeline) -> None:
    """All lost records lie behind the committed offset, the first of them right there in one partition."""
    changes = write(pipeline, inserts(0, 20), 0) + write(pipeline, inserts(100, 20), 1)
    run_well(pipeline)
    changes += write(pipeline, inserts(20, 5), 0)
    write(pipeline, inserts(25, 20), 0)
    write(pipeline, inserts(120, 20), 1)
    stack.broker.stop()
    truncate(stack.broker, pipeline.source, 0, 25)
    truncate(stack.broker, pipeline.source, 1, 20)
    stack.broker.start()
    changes += write(pipeline, inserts(45, 30), 0) + write(pipeline, inserts(145, 30), 1)
    run_well(pipeline)
    assert wrong_labels(pipeline, changes) == []
    assert wrong_records(pipeline, changes) == []


def test_retention_of_all_that_was_read(pipeline: Pipeline) -> None:
    """Retention has deleted the last record read, too; nothing that was not read."""
    changes = write(pipeline, inserts(0, 20), 0) + write(pipeline, inserts(20, 20), 1)
    run_well(pipeline)
    admin = AdminClient({"bootstrap.servers": pipeline.topics.bootstrap_servers, "log_level": 0})
    ends = [TopicPartition(pipeline.source, at, end) for at, end in pipeline.topics.ends(pipeline.source).items()]
    for deleted in admin.delete_records(ends).values():
        deleted.result(30)
    run_well(pipeline)
    changes += write(pipeline, inserts(40, 5), 0)
    run_well(pipeline)
    assert wrong_labels(pipeline, changes) == []
    assert wrong_records(pipeline, changes) == []


def test_compaction_of_the_last_record_read(stack: Stack, tmp_path: Path) -> None:
    """The last record read of a compacted input is removed, as a newer one has its key."""
    pipeline = Pipeline(stack.services, tmp_path, new_name("compacted_input"))
    upsert = "--changelog-mode", "upsert"
    rows = [change.row for change in inserts(0, 20)]
    table = {row.user_id: row[1:] for row in rows}
    write_keyed(pipeline, rows)
    run_well(pipeline, *upsert)
    newer = [Row(row.user_id, row.total_amount + 7.0, row.num_transactions + 1) for row in rows[10:]]
    table |= {row.user_id: row[1:] for row in newer}
    write_keyed(pipeline, newer)
    compact_until(pipeline.topics, pipeline.source, lambda records: len(records) == len(table))
    run_well(pipeline, *upsert)
    assert {user_id: row[1:3] for user_id, row in pipeline.labelling().items()} == table
    numbers = oracle.labels(table, 3)
    assert {user_id: row.label for user_id, row in pipeline.labelling().items()} == numbers


def write_keyed(pipeline: Pipeline, rows: Sequence[Row]) -> None:
    """Write rows of an upsert table."""
    values = [frame(pipeline.schema_id, body(AGGREGATE_SCHEMA, row._asdict())) for row in rows]
    records = [Outgoing(0, value, [], row.user_id.encode()) for row, value in zip(rows, values, strict=True)]
    pipeline.topics.write(pipeline.source, records)


def test_offsets_of_the_version_before(pipeline: Pipeline) -> None:
    """They do not tell which record was the last; they are taken as they are."""
    changes = write(pipeline, inserts(0, 20), 0) + write(pipeline, inserts(20, 20), 1)
    run_well(pipeline)
    for (topic, partition), commit in pipeline.topics.committed(pipeline.group).items():
        old = OLD_MARK.match(commit.metadata)
        assert old is not None
        pipeline.topics.commit(pipeline.group, topic, {partition: commit.offset}, old[0])
    changes += write(pipeline, inserts(40, 5), 0)
    run_well(pipeline)
    run_well(pipeline)
    assert wrong_labels(pipeline, changes) == []
    assert wrong_records(pipeline, changes) == []
