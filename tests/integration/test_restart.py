"""Restarts after stops and kills at any point give the same topic as one run; no record is read twice."""

import signal
from collections.abc import Callable

import pytest

from tests.conftest import MakePipeline
from tests.support import client, inside, oracle
from tests.support.changelog import aggregation, cut, place_at_random, place_by_hash
from tests.support.client import Client
from tests.support.oracle import Labelled
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until
from tests.support.wire import Headers

STEPS_OF_A_TRANSACTION = ("begin_transaction", "produce", "send_offsets_to_transaction", "commit_transaction")


def final_topic(pipeline: Pipeline) -> dict[str, tuple[Labelled | None, Headers]]:
    """The compacted output: rows, tombstones and headers, without tombstones that have no header."""
    records = pipeline.topics.compacted(pipeline.output).values()
    return {
        pipeline.user_of(record): (pipeline.labelled(record) if record.value else None, record.headers)
        for record in records
        if record.value or record.headers
    }


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_stop_after_every_step(make_pipeline: MakePipeline, partitions: int) -> None:
    pipeline = make_pipeline(partitions=partitions)
    changes = aggregation(seed=partitions, n_users=12, n_transactions=40)
    pipeline.write(place_at_random(changes, partitions, seed=1))
    arguments = pipeline.arguments("--batch-size", "10")
    with inside.counting_reads(pipeline.source) as read:
        for _ in range(len(changes)):
            inside.run_and_stop(arguments, after=1)
            if pipeline.lag() == 0:
                break
    inside.run_to_end(arguments)
    assert read() == len(changes)
    assert pipeline.labelling() == oracle.labelled(changes)
    pipeline.assert_offsets_sound()
    pipeline.assert_nothing_doubled()
    undisturbed = pipeline.twin()
    inside.run_to_end(undisturbed.arguments("--batch-size", "10"))
    assert final_topic(pipeline) == final_topic(undisturbed)


def test_a_kill_in_every_part_of_a_transaction(make_pipeline: MakePipeline) -> None:
    """Nothing of the transaction is visible, and the next start does all of it."""
    pipeline = make_pipeline(partitions=3)
    changes = aggregation(seed=8, n_users=12, n_transactions=60)
    pieces = cut(place_by_hash(changes, 3), (40, 70, 90))
    for piece, method in zip(pieces, STEPS_OF_A_TRANSACTION, strict=True):
        before = final_topic(pipeline), pipeline.offsets()
        pipeline.write(piece)
        assert inside.run_and_die(pipeline.arguments(), at=method, after=2 if method == "produce" else 0)
        assert (final_topic(pipeline), pipeline.offsets("read_uncommitted")) == before
        inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == oracle.labelled(changes)
    pipeline.assert_offsets_sound()
    pipeline.assert_nothing_doubled()
    undisturbed = pipeline.twin()
    inside.run_to_end(undisturbed.arguments())
    assert final_topic(pipeline) == final_topic(undisturbed)


def test_signals_while_records_arrive(make_pipeline: MakePipeline, tmp_path_factory: pytest.TempPathFactory) -> None:
    """SIGINT and SIGTERM commit what was read and end with exit code 0; after kill -9 the next start does the rest."""
    pipeline = make_pipeline(partitions=3)
    changes = aggregation(seed=5, n_users=30, n_transactions=900)
    pieces = cut(place_by_hash(changes, 3), range(100, len(changes), 100))
    log = tmp_path_factory.mktemp("client") / "log"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with Client(pipeline.arguments("--batch-interval", "0"), log) as running:
            for _ in range(4):
                before = sum(pipeline.offsets().values())
                pipeline.write(pieces.pop(0))
                wait_until(_committed_more_than(pipeline, before), "an offset to be committed")
            pipeline.write(pieces.pop(0))
            assert running.stop(number) == (-signal.SIGKILL if number == signal.SIGKILL else 0), running.output
    for piece in pieces:
        pipeline.write(piece)
    assert client.run(pipeline.arguments("--until-end")).code == 0
    assert pipeline.labelling() == oracle.labelled(changes)
    pipeline.assert_offsets_sound()
    pipeline.assert_nothing_doubled()


def _committed_more_than(pipeline: Pipeline, before: int) -> Callable[[], bool]:
    return lambda: sum(pipeline.offsets().values()) > before


def test_a_start_without_new_records_writes_nothing(pipeline: Pipeline) -> None:
    pipeline.write(place_by_hash(aggregation(seed=2, n_users=5, n_transactions=20), 1))
    inside.run_to_end(pipeline.arguments())
    before = pipeline.topics.read(pipeline.output)
    with inside.counting_reads(pipeline.source) as read:
        inside.run_to_end(pipeline.arguments())
    assert read() == 0
    assert pipeline.topics.read(pipeline.output) == before


def test_new_partitions_are_read_from_their_beginning(pipeline: Pipeline) -> None:
    changes = aggregation(seed=3, n_users=8, n_transactions=40)
    first, second = cut(place_by_hash(changes, 1), [30])
    pipeline.configure("consumer", auto_offset_reset="earliest")
    pipeline.write(first)
    inside.run_to_end(pipeline.arguments())
    pipeline.topics.grow(pipeline.source, 3)
    pipeline.configure("consumer", auto_offset_reset="latest")
    pipeline.write(place_at_random([change for _, change in second], 3, seed=1))
    inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == oracle.labelled(changes)
    pipeline.assert_offsets_sound()
