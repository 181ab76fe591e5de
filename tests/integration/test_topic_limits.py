"""An output topic that takes only small batches, or only records of the right time."""

import pytest

from classifier.kafka.client import Kafka
from tests.support import inside, oracle
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.pipeline import Pipeline

N_USERS = 400
PREFIX = "user_classifier.py: error: "


@pytest.fixture
def changes(pipeline: Pipeline) -> list[Change]:
    """Users of the input; their labels take 118 bytes each, with the overhead of a batch."""
    changes = [Change(Op.INSERT, Row(f"User_{i:03}", 10.0 ** (i % 3) + i, 1 + i)) for i in range(N_USERS)]
    pipeline.write([Placed(0, change) for change in changes])
    return changes


def limited(pipeline: Pipeline, **limits: str) -> None:
    """Give the pipeline an output with these settings; an underscore stands for a dot."""
    pipeline.output += "_limited"
    config = {"cleanup.policy": "compact", **{name.replace("_", "."): value for name, value in limits.items()}}
    pipeline.topics.create(pipeline.output, 1, config)


def refused(pipeline: Pipeline) -> str:
    """Run the client, which must fail and commit nothing; return its message."""
    finished = inside.run(pipeline.arguments("--until-end"))
    assert finished.code == 1
    assert pipeline.labelling() == {}
    return finished.stderr.split(PREFIX)[1]


@pytest.mark.parametrize("max_message_bytes", ["300", "1000", "5000"])
def test_batches_are_as_small_as_the_topic_requires(
    pipeline: Pipeline, changes: list[Change], max_message_bytes: str
) -> None:
    limited(pipeline, max_message_bytes=max_message_bytes)
    inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == oracle.labelled(changes)


def test_batches_that_are_too_large(pipeline: Pipeline, changes: list[Change], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the permission DescribeConfigs the message says what to do; then it works."""
    monkeypatch.setattr(Kafka, "topic_config", lambda kafka, topic: {})
    limited(pipeline, max_message_bytes="1000")
    message = refused(pipeline)
    assert message.startswith(f"cannot write topic {pipeline.output}: ")
    assert "; lower batch.size in [producer], or raise max.message.bytes of the topic" in message
    pipeline.configure("producer", batch_size="1000")
    inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == oracle.labelled(changes)


def test_records_of_another_time(pipeline: Pipeline, changes: list[Change]) -> None:
    """As from a machine whose clock is wrong: here nothing reaches the broker within a millisecond."""
    limited(pipeline, message_timestamp_before_max_ms="0", message_timestamp_after_max_ms="0")
    message = refused(pipeline)
    assert message.startswith(f"cannot write topic {pipeline.output}: ")
    assert "check the clock of this machine" in message
    assert "message.timestamp.before.max.ms" in message
