"""Two clients on one group: the newer one takes over, the older one stops."""

from pathlib import Path

from tests.conftest import MakePipeline
from tests.support import oracle
from tests.support.changelog import aggregation, cut, place_by_hash
from tests.support.client import Client
from tests.support.waiting import wait_until


def test_the_newer_client_takes_over(make_pipeline: MakePipeline, tmp_path: Path) -> None:
    pipeline = make_pipeline(partitions=2)
    changes = aggregation(seed=6, n_users=20, n_transactions=300)
    first, second, third = cut(place_by_hash(changes, 2), (200, 400))
    pipeline.write(first)
    with Client(pipeline.arguments(), tmp_path / "older") as older:
        wait_until(lambda: pipeline.lag() == 0, "the older client to label")
        with Client(pipeline.arguments(), tmp_path / "newer") as newer:
            newer.wait_for_output("users restored")
            pipeline.write(second)
            assert older.wait() == 1
            transactional_id = f"user_classifier-{pipeline.group}-{pipeline.output}"
            assert older.output.splitlines()[-1] == (
                f"user_classifier.py: error: transactional.id '{transactional_id}' was taken over by a newer"
                " user_classifier; this one stops"
            )
            pipeline.write(third)
            wait_until(lambda: pipeline.lag() == 0, "the newer client to label")
            assert newer.stop() == 0, newer.output
    assert pipeline.labelling() == oracle.labelled(changes)
    pipeline.assert_offsets_sound()
    pipeline.assert_nothing_doubled()
