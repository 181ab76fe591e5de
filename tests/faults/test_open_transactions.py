"""A transaction that another program has open in the output: a restore waits for its end, and says so."""

import re
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.support import inside, oracle
from tests.support.changelog import aggregation, of_other_users, place_by_hash
from tests.support.client import Client
from tests.support.pipeline import Pipeline

CHANGES = aggregation(seed=7, n_users=12, n_transactions=60)
MORE = of_other_users(aggregation(seed=9, n_users=20, n_transactions=100))
HELD = "an open transaction of another program holds back what follows, up to offset"


def other_program(pipeline: Pipeline) -> Producer:
    """A producer with a transaction open in the output, which it has written a tombstone of nobody into."""
    producer = Producer(
        {
            "bootstrap.servers": pipeline.topics.bootstrap_servers,
            "transactional.id": f"other {pipeline.output}",
            "log_level": 0,
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(pipeline.output, None, b"nobody", partition=0)
    producer.flush(30)
    return producer


@pytest.mark.parametrize("commits", [True, False])
def test_a_restore_waits_for_the_whole_output(commits: bool, pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.write(place_by_hash(CHANGES, 1))
    inside.run_to_end(pipeline.arguments())
    other = other_program(pipeline)
    pipeline.write(place_by_hash(MORE, 1))
    # What this run writes lies behind the other's open transaction.
    with Client(pipeline.arguments("--until-end"), tmp_path / "log") as client:
        client.wait_for_output(HELD)
        said = re.search(rf"WARNING {pipeline.output} \[0\] at offset (\d+): {HELD} (\d+);", client.output)
        assert said
        assert int(said[2]) == int(said[1]) + 1, "the other's one record"
        assert client.output.count(HELD) == 1
        other.commit_transaction(30) if commits else other.abort_transaction(30)
        assert client.wait() == 0, client.output
    assert pipeline.labelling() == oracle.labelled(CHANGES + MORE)
    pipeline.assert_offsets_sound()


def test_labels_behind_an_open_transaction_are_restored(pipeline: Pipeline, tmp_path: Path) -> None:
    """The last steps of an earlier run lie behind it: without them the offsets would not fit, or old rows come back."""
    pipeline.write(place_by_hash(CHANGES, 1))
    inside.run_to_end(pipeline.arguments())
    with Client(pipeline.arguments("--batch-interval", "0.1"), tmp_path / "first") as first:
        first.wait_for_output("users restored")
        other = other_program(pipeline)
        pipeline.write(place_by_hash(MORE, 1))
        first.wait_for_output(f"INFO {len(MORE)} records")
        assert first.stop() == 0, first.output
    with Client(pipeline.arguments("--until-end"), tmp_path / "second") as second:
        second.wait_for_output(HELD)
        other.abort_transaction(30)
        assert second.wait() == 0, second.output
    assert pipeline.labelling() == oracle.labelled(CHANGES + MORE)
    pipeline.assert_nothing_doubled()


def test_a_look_waits_too_and_can_be_stopped(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.write(place_by_hash(CHANGES, 1))
    inside.run_to_end(pipeline.arguments())
    other = other_program(pipeline)
    with Client(pipeline.arguments("--dry-run"), tmp_path / "log") as client:
        client.wait_for_output(HELD)
        assert client.stop() == 0, client.output
    other.abort_transaction(30)
