"""A transaction that another program has open in the output: a restore waits for its end, and logs a warning."""

import re
from pathlib import Path

import pytest

from tests.faults.open_transactions import begin_transaction, restore_during_transaction
from tests.faults.stack import Stack
from tests.support import inside, oracle
from tests.support.changelog import aggregation, of_other_users, place_by_hash
from tests.support.client import Client
from tests.support.pipeline import Pipeline

CHANGES = aggregation(seed=7, n_users=12, n_transactions=60)
MORE = of_other_users(aggregation(seed=9, n_users=20, n_transactions=100))
HELD = "an open transaction of another program blocks the records after it, up to offset"


@pytest.mark.parametrize("commits", [True, False])
def test_a_restore_waits_for_the_whole_output(commits: bool, pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.write(place_by_hash(CHANGES, 1))
    inside.run_to_end(pipeline.arguments())
    other = begin_transaction(pipeline)
    pipeline.write(place_by_hash(MORE, 1))
    # This run writes its labels after the beginning of the open transaction.
    with Client(pipeline.arguments("--until-end"), tmp_path / "log") as client:
        client.wait_for_output(HELD)
        warning = re.search(rf"WARNING {pipeline.output} \[0\] at offset (\d+): {HELD} (\d+);", client.output)
        assert warning
        assert int(warning[2]) == int(warning[1]) + 1, "the one record of the other program"
        assert client.output.count(HELD) == 1
        other.commit_transaction(30) if commits else other.abort_transaction(30)
        assert client.wait() == 0, client.output
    assert pipeline.labelling() == oracle.labelled(CHANGES + MORE)
    pipeline.assert_offsets_sound()


def test_labels_written_after_its_beginning_are_restored(pipeline: Pipeline, tmp_path: Path) -> None:
    """Without the last steps of the earlier run the offsets would not match, or old rows would come back."""
    pipeline.write(place_by_hash(CHANGES, 1))
    inside.run_to_end(pipeline.arguments())
    with Client(pipeline.arguments("--batch-interval", "0.1"), tmp_path / "first") as first:
        first.wait_for_output("users restored")
        other = begin_transaction(pipeline)
        pipeline.write(place_by_hash(MORE, 1))
        first.wait_for_output(f"INFO {len(MORE)} records")
        assert first.stop() == 0, first.output
    with Client(pipeline.arguments("--until-end"), tmp_path / "second") as second:
        second.wait_for_output(HELD)
        other.abort_transaction(30)
        assert second.wait() == 0, second.output
    assert pipeline.labelling() == oracle.labelled(CHANGES + MORE)
    pipeline.assert_nothing_doubled()


def test_a_dry_run_waits_too_and_can_be_stopped(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.write(place_by_hash(CHANGES, 1))
    inside.run_to_end(pipeline.arguments())
    other = begin_transaction(pipeline)
    with Client(pipeline.arguments("--dry-run"), tmp_path / "log") as client:
        client.wait_for_output(HELD)
        assert client.stop() == 0, client.output
    other.abort_transaction(30)


def test_a_killed_client_is_restored_in_full(stack: Stack, tmp_path: Path) -> None:
    result = restore_during_transaction(stack, tmp_path, seed=1)
    assert result.passed, str(result)
