"""Compaction removes the tombstones of an upsert input while the client does not read them: the users are deleted."""

import signal
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from tests.faults.input_compaction import compact_eagerly, compact_until, configure
from tests.faults.stack import Stack
from tests.support import inside, oracle
from tests.support.changelog import Row
from tests.support.client import Client, Finished
from tests.support.pipeline import Pipeline, new_name
from tests.support.topics import Outgoing, Record
from tests.support.waiting import wait_until
from tests.support.wire import AGGREGATE_SCHEMA, body, frame

UPSERT = "--changelog-mode", "upsert"
RUNNING_S = 4.0
IMPATIENT = f"""\
import sys
import user_classifier
from classifier.kafka import caught_up
caught_up.MIN_RUNNING_SECONDS = {RUNNING_S}
user_classifier.TOPIC_CHECK_SECONDS = 1.0
sys.exit(user_classifier.main())
"""
LOST = "compaction keeps deletions for"
ROWS = [Row(f"User_{number:02}", 10.0 ** (number % 3) * (1 + number), 1 + number) for number in range(20)]
DELETED = {row.user_id for row in ROWS[5:12]}


@pytest.fixture
def pipeline(stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Pipeline:
    """A pipeline whose input holds an upsert table."""
    made = Pipeline(stack.services, tmp_path, new_name(request.node.name))
    configure(made.topics, made.source, {"cleanup.policy": "compact"})
    write(made, ROWS)
    return made


def write(pipeline: Pipeline, rows: Sequence[Row], deleted: Collection[str] = ()) -> None:
    """Write rows, and a tombstone for each user that is deleted."""
    values = [frame(pipeline.schema_id, body(AGGREGATE_SCHEMA, row._asdict())) for row in rows]
    records = [Outgoing(0, value, [], row.user_id.encode()) for row, value in zip(rows, values, strict=True)]
    tombstones = [Outgoing(0, None, [], user_id.encode()) for user_id in sorted(deleted)]
    pipeline.topics.write(pipeline.source, records + tombstones)


def are_gone(records: Sequence[Record]) -> bool:
    """Whether the input holds nothing of the deleted users any more."""
    return not {record.key.decode() for record in records if record.key} & DELETED


def lose_tombstones(pipeline: Pipeline) -> None:
    """Delete users, and have the tombstones compacted away; others have new rows."""
    write(pipeline, newer(ROWS[:3]), DELETED)
    compact_until(pipeline.topics, pipeline.source, are_gone)


def newer(rows: Sequence[Row]) -> list[Row]:
    """The rows after another purchase."""
    return [Row(row.user_id, row.total_amount + 7.0, row.num_transactions + 1) for row in rows]


def assert_labelled(pipeline: Pipeline, rows: Sequence[Row]) -> None:
    """The output holds these rows and no others, with the labels of one fit."""
    table = {row.user_id: row[1:] for row in rows}
    found = pipeline.labelling()
    assert {user_id: row[1:3] for user_id, row in found.items()} == table
    assert {user_id: row.label for user_id, row in found.items()} == oracle.labels(table, 3)


LEFT = newer(ROWS[:3]) + [row for row in ROWS[3:] if row.user_id not in DELETED]


def run(pipeline: Pipeline, *more: str) -> Finished:
    """Run the client to the end of the input."""
    return inside.run(pipeline.arguments("--until-end", *UPSERT, *more))


def run_well(pipeline: Pipeline) -> str:
    """Run the client to the end of the input; return its log."""
    finished = run(pipeline)
    assert finished.code == 0, finished.stderr
    return finished.stderr


def check(pipeline: Pipeline) -> str:
    """The line of --check about tombstones."""
    lines = inside.run(pipeline.arguments("--check", *UPSERT)).stdout.splitlines()
    return next((line for line in lines if f"topic {pipeline.source}, tombstones: " in line), "")


def test_while_the_client_is_stopped(pipeline: Pipeline) -> None:
    run_well(pipeline)
    assert check(pipeline).startswith("ok ")
    assert LOST not in check(pipeline)
    lose_tombstones(pipeline)
    assert check(pipeline).startswith("ok ")
    assert check(pipeline).endswith(
        "so some may be lost; the next start reads the topic from its beginning to find them"
    )
    assert LOST in run_well(pipeline)
    assert_labelled(pipeline, LEFT)


@pytest.mark.parametrize("at", ["produce", "commit_transaction"])
def test_a_client_that_dies_while_it_looks_for_them(pipeline: Pipeline, at: str) -> None:
    run_well(pipeline)
    lose_tombstones(pipeline)
    assert inside.run_and_die(pipeline.arguments(*UPSERT), at)
    run_well(pipeline)
    assert_labelled(pipeline, LEFT)


def test_a_short_stop(pipeline: Pipeline) -> None:
    """Nothing is read again, and tombstones that are there delete their users."""
    run_well(pipeline)
    write(pipeline, newer(ROWS[:3]), DELETED)
    with inside.counting_reads(pipeline.source) as n_read:
        assert LOST not in run_well(pipeline)
    assert n_read() == 3 + len(DELETED)
    assert_labelled(pipeline, LEFT)


def test_offsets_of_the_version_before(pipeline: Pipeline) -> None:
    """They do not tell when the input was caught up, and are taken as they are; the next ones do."""
    run_well(pipeline)
    for (topic, partition), commit in pipeline.topics.committed(pipeline.group).items():
        old = commit.metadata.partition(" caught_up=")[0]
        pipeline.topics.commit(pipeline.group, topic, {partition: commit.offset}, old)
    assert check(pipeline) == ""
    compact_eagerly(pipeline.topics, pipeline.source)
    assert LOST not in run_well(pipeline)
    assert LOST in run_well(pipeline)
    assert_labelled(pipeline, ROWS)


def test_an_input_that_no_longer_holds_every_user(pipeline: Pipeline) -> None:
    """A user without a record there may be a quiet one."""
    run_well(pipeline)
    write(pipeline, newer(ROWS[:3]))
    run_well(pipeline)
    compact_eagerly(pipeline.topics, pipeline.source, "compact,delete")
    admin = AdminClient({"bootstrap.servers": pipeline.topics.bootstrap_servers, "log_level": 0})
    (deleted,) = admin.delete_records([TopicPartition(pipeline.source, 0, 4)]).values()
    deleted.result(30)
    refused = run(pipeline)
    assert refused.code == 1
    reason = f"retention has deleted the records of other users ({pipeline.source} [0] begins at 4)"
    advice = f"and it cannot show which: {reason}; to start over: run again with --rebuild"
    assert LOST in refused.stderr
    assert refused.stderr.splitlines()[-1].endswith(f", {advice}")
    assert check(pipeline).startswith("TO DO ")
    assert check(pipeline).endswith(f", {advice}")
    assert len(pipeline.labelling()) == len(ROWS)
    assert run(pipeline, "--rebuild").code == 0
    assert_labelled(pipeline, newer(ROWS[:3]) + ROWS[4:])


def test_while_a_running_client_is_suspended(pipeline: Pipeline, tmp_path: Path) -> None:
    compact_eagerly(pipeline.topics, pipeline.source)
    script = tmp_path / "impatient.py"
    script.write_text(IMPATIENT, encoding="utf-8")
    arguments = pipeline.arguments("--batch-interval", "0.2", *UPSERT)
    with Client(arguments, tmp_path / "client.log", script) as client:
        wait_until(lambda: len(pipeline.labelling()) == len(ROWS), "the first labels")
        client.send(signal.SIGSTOP)
        suspended = time.monotonic()
        lose_tombstones(pipeline)
        wait_until(lambda: time.monotonic() - suspended > 2 * RUNNING_S, "the tombstones to be old enough")
        client.send(signal.SIGCONT)
        wait_until(lambda: set(pipeline.labelling()) == {row.user_id for row in LEFT}, f"deletions:\n{client.output}")
        assert client.stop() == 0, client.output
        assert LOST in client.output
    assert_labelled(pipeline, LEFT)
