"""Helpers of the tests on a real broker: they read what was written."""

from tests.conftest import MakePipeline
from tests.support.changelog import aggregation, place_by_hash
from tests.support.pipeline import Pipeline
from tests.support.topics import Commit, Outgoing
from tests.support.wire import AGGREGATE_SCHEMA, unframe


def test_a_written_changelog_is_read_back(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(partitions=3)
    placed = place_by_hash(aggregation(seed=1, n_users=5, n_transactions=50), 3)
    pipeline.write(placed)
    rows = [
        (record.partition, unframe(AGGREGATE_SCHEMA, record.value or b""))
        for record in pipeline.topics.read(pipeline.source)
    ]
    assert rows == [(at, change.row._asdict()) for at, change in sorted(placed, key=lambda record: record.partition)]


def test_only_committed_records_are_read(pipeline: Pipeline) -> None:
    topics = pipeline.topics
    source = pipeline.source
    topics.write_in_transaction(source, [Outgoing(0, b"never", [])], commit=False)
    topics.write_in_transaction(source, [Outgoing(0, b"real", [("op", b"\2")], b"key")], commit=True)
    assert [record.value for record in topics.read(source, "read_uncommitted")] == [b"never", b"real"]
    (record,) = topics.read(source)
    assert record[2:] == (b"key", b"real", [("op", b"\2")])


def test_every_commit_of_a_group_is_read(pipeline: Pipeline) -> None:
    for offset in (7, 3, 9):
        pipeline.topics.commit(pipeline.group, pipeline.source, {0: offset}, f"at {offset}")
    assert pipeline.topics.commit_history(pipeline.group) == [
        Commit(pipeline.source, 0, offset, f"at {offset}") for offset in (7, 3, 9)
    ]
    assert pipeline.offsets() == {0: 9}
