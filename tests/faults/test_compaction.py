"""The broker compacts the output while the client is stopped."""

from pathlib import Path

from tests.faults.compaction import compact, compact_eagerly, wait_for_compaction
from tests.faults.stack import Stack
from tests.support import inside
from tests.support.changelog import Aggregate, Change, Op, Placed, Row
from tests.support.pipeline import Pipeline


def test_the_output_is_compacted_while_the_client_is_stopped(stack: Stack, tmp_path: Path) -> None:
    result = compact(stack, tmp_path, seed=1, times=1)
    assert result.passed, str(result)


def test_a_retraction_lost_by_compaction_is_logged(stack: Stack, tmp_path: Path) -> None:
    pipeline = Pipeline(stack.services, tmp_path, "waited")
    compact_eagerly(pipeline)
    table = Aggregate()
    for number in range(5):
        table.spend(f"User_{number}", 10.0 * number)
    retraction = Change(Op.UPDATE_BEFORE, Row("User_9", 5.0, 1))
    pipeline.write([Placed(0, change) for change in [*table.changes, retraction]])
    assert inside.run(pipeline.arguments("--until-end")).code == 0
    assert pipeline.pending() == {"User_9": [[5.0, 1, -1]]}
    wait_for_compaction(pipeline)
    assert pipeline.pending() == {}
    finished = inside.run(pipeline.arguments("--until-end"))
    warning = "1 unmatched retractions were older than delete.retention.ms and are lost;"
    assert finished.code == 0
    assert warning in finished.stderr
