"""A retract topic that is read as append or upsert, on a real broker: refused before a label of it is written."""

import pytest

from tests.conftest import MakePipeline
from tests.support import inside, oracle
from tests.support.changelog import aggregation, place_by_hash
from tests.support.pipeline import Pipeline

CHANGES = aggregation(seed=3, n_users=12, n_transactions=150)
REFUSED = "takes the row back, so this is a retract changelog"


def retract_topic(make_pipeline: MakePipeline, digits: bool = False) -> Pipeline:
    """An input as Flink writes it: in transactions, six partitions, rows hashed."""
    pipeline = make_pipeline(partitions=6)
    placed = place_by_hash(CHANGES, 6)
    for start in range(0, len(placed), 50):
        records = pipeline.outgoing(placed[start : start + 50], digits)
        pipeline.topics.write_in_transaction(pipeline.source, records, commit=True)
    return pipeline


@pytest.mark.parametrize("mode", ["append", "upsert"])
@pytest.mark.parametrize("digits", [False, True])
def test_it_is_refused_and_check_says_so(mode: str, digits: bool, make_pipeline: MakePipeline) -> None:
    pipeline = retract_topic(make_pipeline, digits)
    wrong = pipeline.arguments("--changelog-mode", mode)
    checked = inside.run([*wrong, "--check"])
    assert checked.code == 1
    assert f"TO DO   topic {pipeline.source}, --changelog-mode {mode}: {pipeline.source} [" in checked.stdout
    assert f"{REFUSED}; run with --changelog-mode retract\n" in checked.stdout
    assert pipeline.offsets() == {}, "a look leaves nothing in the group"
    refused = inside.run([*wrong, "--until-end"])
    assert (refused.code, pipeline.labelling()) == (1, {})
    assert refused.stderr.endswith(f"{REFUSED}: run with --changelog-mode retract\n")
    inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == oracle.labelled(CHANGES)
    told = inside.run(pipeline.arguments("--check"))
    assert (told.code, REFUSED in told.stdout) == (0, False)
    assert f"ok      topic {pipeline.source}, rows of a user: one, at the last commit" in told.stdout


def test_a_look_does_not_wait_for_an_open_transaction(make_pipeline: MakePipeline) -> None:
    pipeline = retract_topic(make_pipeline)
    pipeline.topics.write_in_transaction(
        pipeline.source, pipeline.outgoing(place_by_hash(CHANGES[:3], 6)), commit=False
    )
    assert inside.run(pipeline.arguments("--changelog-mode", "append", "--check")).code == 1
