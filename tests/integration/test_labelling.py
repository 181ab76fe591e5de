"""The labels in a real `user_labeling` are those of one fit on the table that a plain replay gives."""

from tests.conftest import MakePipeline
from tests.support import inside, oracle
from tests.support.changelog import aggregation, place_by_hash


def test_a_realistic_changelog(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(partitions=6)
    changes = aggregation(seed=4, n_users=300, n_transactions=5000)
    pipeline.write(place_by_hash(changes, 6))
    inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == oracle.labelled(changes)
    assert pipeline.pending() == {}
