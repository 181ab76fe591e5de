"""A topic is deleted or recreated, during a run or between two: the message names the cause, and no label is wrong.

A recreated topic has another id. Old offsets may be valid in it by chance, so it gets fewer, as many and more records.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.replaced_topics import CASES, replace_topic
from tests.faults.stack import Stack
from tests.support import inside, oracle
from tests.support.changelog import Change, aggregation, of_other_users, place_by_hash
from tests.support.client import Client
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

ERROR = "user_classifier.py: error: "
AGAIN = "to start over: run again with --rebuild"
OLD_OFFSETS = "the committed offsets count records of the old topic"
OLD_LABELS = "the labels that belong to the committed offsets were in the old topic"
CHANGES = aggregation(seed=7, n_users=12, n_transactions=60)
OTHERS = aggregation(seed=8, n_users=30, n_transactions=200)
MORE = of_other_users(aggregation(seed=9, n_users=20, n_transactions=100))
LENGTHS = {"fewer records": len(CHANGES) // 2, "as many": len(CHANGES), "more": len(OTHERS)}


def write(pipeline: Pipeline, changes: list[Change]) -> None:
    """Write changes into the input's one partition."""
    pipeline.write(place_by_hash(changes, 1))


@contextmanager
def labelling(pipeline: Pipeline, log: Path, *more: str) -> Iterator[Client]:
    """A running client that has labelled all of CHANGES."""
    write(pipeline, CHANGES)
    with Client(pipeline.arguments("--batch-interval", "0.1", *more), log) as client:
        wait_until(lambda: pipeline.lag() == 0 or not client.running, "the first labels")
        yield client


def recreate(pipeline: Pipeline, topic: str) -> tuple[str, str]:
    """Delete a topic and create it again; return the old and the new id."""
    before = pipeline.topics.topic_id(topic)
    pipeline.topics.delete(topic)
    pipeline.topics.create(topic, 1, {"cleanup.policy": "compact"} if topic == pipeline.output else {})
    return before, pipeline.topics.topic_id(topic)


def assert_rebuilt(pipeline: Pipeline, changes: list[Change]) -> None:
    """--rebuild labels the users of the input as it is now, and the next start continues from there."""
    inside.run_to_end(pipeline.arguments("--rebuild"))
    assert pipeline.labelling() == oracle.labelled(changes)
    inside.run_to_end(pipeline.arguments())


@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS)
def test_an_input_recreated_during_a_run(length: int, pipeline: Pipeline, tmp_path: Path) -> None:
    others = OTHERS[:length]
    with labelling(pipeline, tmp_path / "log") as client:
        then, now = recreate(pipeline, pipeline.source)
        write(pipeline, others)
        assert client.wait() == 1
        last = client.output.splitlines()[-1]
    # The client may have asked before the topic existed again.
    assert last.startswith(f"{ERROR}topic {pipeline.source} was deleted while it was in use; ") or last == (
        f"{ERROR}{pipeline.source} was deleted and recreated ({OLD_OFFSETS}; id {then}, now {now}); {AGAIN}"
    )
    assert pipeline.labelling() == oracle.labelled(CHANGES), "no label comes from records of the new topic"
    inside.run_to_end(pipeline.arguments("--rebuild"))
    assert set(pipeline.labelling()) == set(oracle.replay(others)), "the users of the new topic"


@pytest.mark.parametrize("role", ["source", "output"])
def test_a_topic_deleted_during_a_run(role: str, pipeline: Pipeline, tmp_path: Path) -> None:
    topic = getattr(pipeline, role)
    with labelling(pipeline, tmp_path / "log") as client:
        pipeline.topics.delete(topic)
        assert client.wait() == 1
        last = client.output.splitlines()[-1]
    assert last.startswith(f"{ERROR}topic {topic} was deleted while it was in use; topic {topic} does not exist; ")
    assert "accepts no records" not in client.output


def test_an_output_deleted_while_labels_are_written(pipeline: Pipeline, tmp_path: Path) -> None:
    with labelling(pipeline, tmp_path / "log") as client:
        write(pipeline, MORE)
        pipeline.topics.delete(pipeline.output)
        assert client.wait() == 1
        last = client.output.splitlines()[-1]
    assert last.startswith(f"{ERROR}topic {pipeline.output} was deleted while it was in use; ")


def test_an_output_recreated_during_a_run(pipeline: Pipeline, tmp_path: Path) -> None:
    with labelling(pipeline, tmp_path / "log") as client:
        then, now = recreate(pipeline, pipeline.output)
        write(pipeline, MORE)
        assert client.wait() == 1
        last = client.output.splitlines()[-1]
    assert last.startswith(f"{ERROR}topic {pipeline.output} was deleted while it was in use; ") or last == (
        f"{ERROR}{pipeline.output} was deleted and recreated ({OLD_LABELS}; id {then}, now {now}); {AGAIN}"
    )
    assert pipeline.labelling() == {}
    assert_rebuilt(pipeline, CHANGES + MORE)


@pytest.mark.parametrize("filled", [False, True])
def test_an_output_recreated_between_two_runs(filled: bool, pipeline: Pipeline) -> None:
    """Empty, or holding a copy of the old labels, whose number is then as expected by chance."""
    write(pipeline, CHANGES)
    inside.run_to_end(pipeline.arguments())
    copied = [record for record in pipeline.topics.read(pipeline.output) if filled]
    then, now = recreate(pipeline, pipeline.output)
    pipeline.topics.copy(pipeline.output, copied)
    refused = inside.run(pipeline.arguments("--until-end"))
    assert (refused.code, refused.stderr.splitlines()[-1]) == (
        1,
        f"{ERROR}{pipeline.output} was deleted and recreated ({OLD_LABELS}; id {then}, now {now}); {AGAIN}",
    )
    assert_rebuilt(pipeline, CHANGES)


@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS)
def test_an_input_recreated_between_two_runs(length: int, pipeline: Pipeline) -> None:
    """Kafka deletes a group's offsets with the topic; restored from a backup, their metadata names the old id."""
    write(pipeline, CHANGES)
    inside.run_to_end(pipeline.arguments())
    ((position, commit),) = pipeline.topics.committed(pipeline.group).items()
    then, now = recreate(pipeline, pipeline.source)
    write(pipeline, OTHERS[:length])
    wait_until(lambda: not pipeline.topics.committed(pipeline.group), "the broker to forget the offsets")
    refused = inside.run(pipeline.arguments("--until-end"))
    users = len(oracle.settled_table(CHANGES))
    assert refused.stderr.splitlines()[-1] == (
        f"{ERROR}{pipeline.output} holds {users} users, but the group has no committed offsets; {AGAIN}"
    )
    pipeline.topics.commit(pipeline.group, pipeline.source, {position[1]: commit.offset}, commit.metadata)
    refused = inside.run(pipeline.arguments("--until-end"))
    assert refused.stderr.splitlines()[-1] == (
        f"{ERROR}{pipeline.source} was deleted and recreated ({OLD_OFFSETS}; id {then}, now {now}); {AGAIN}"
    )


def test_a_log_target_that_is_deleted(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.topics.create(target := f"{pipeline.source}_errors")
    mode = ("--error-handling-mode", "log", "--error-handling-log-target", target)
    with labelling(pipeline, tmp_path / "log", *mode) as client:
        pipeline.topics.delete(target)
        assert client.wait() == 1
    assert client.output.splitlines()[-1].startswith(f"{ERROR}topic {target} was deleted while it was in use; ")


def test_a_flowing_input_recreated_during_a_run(stack: Stack, tmp_path: Path) -> None:
    (case,) = (case for case in CASES if case.name == "input recreated longer")
    result = replace_topic(stack, tmp_path, seed=1, case=case)
    assert result.passed, str(result)
