"""Stopping anywhere and starting again gives the same final topic as never stopping, and reads no record twice."""

from itertools import pairwise

import pytest

from tests.conftest import MakePipeline
from tests.support import inside, oracle
from tests.support.changelog import aggregation, place_at_random
from tests.support.pipeline import MARK, Pipeline


def assert_never_back(pipeline: Pipeline) -> None:
    """No committed offset moved back, each bore the mark, and the last is the end."""
    commits = pipeline.topics.commit_history(pipeline.group)
    assert commits
    assert [commit for commit in commits if not commit.metadata.startswith(MARK)] == []
    for partition, offsets in pipeline.offset_history().items():
        assert all(before <= after for before, after in pairwise(offsets)), (partition, offsets)


@pytest.mark.parametrize("partitions", [1, 3, 6])
def test_stopping_after_every_step(make_pipeline: MakePipeline, partitions: int) -> None:
    pipeline = make_pipeline(partitions=partitions)
    changes = aggregation(seed=partitions, n_users=12, n_transactions=40)
    pipeline.write(place_at_random(changes, partitions, seed=1))
    with inside.counting_reads(pipeline.source) as read:
        while inside.run_and_stop(pipeline.arguments("--batch-size", "10"), after=1):
            pass
    assert read() == len(changes)
    assert pipeline.labelling() == oracle.labelled(changes)
    assert pipeline.pending() == {}
    assert_never_back(pipeline)
