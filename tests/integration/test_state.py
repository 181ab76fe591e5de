"""Offsets and output that do not match are refused with a message that names both; --rebuild fixes it."""

from classifier import __version__
from tests.conftest import MakePipeline
from tests.support import inside, oracle
from tests.support.changelog import Change, aggregation, place_by_hash
from tests.support.marks import without_row_parts
from tests.support.pipeline import MARK, Pipeline

AGAIN = "to start over: run again with --rebuild"


def labelled(pipeline: Pipeline) -> list[Change]:
    """Label a small changelog; return it."""
    changes = aggregation(seed=7, n_users=12, n_transactions=60)
    pipeline.write(place_by_hash(changes, len(pipeline.topics.partitions(pipeline.source))))
    inside.run_to_end(pipeline.arguments())
    return changes


def assert_refused(pipeline: Pipeline, complaint: str) -> None:
    """The client refuses with this message, and changes neither output nor offsets."""
    before = pipeline.topics.read(pipeline.output), pipeline.topics.commit_history(pipeline.group)
    refused = inside.run(pipeline.arguments("--until-end"))
    assert (refused.code, refused.stderr.splitlines()[-1]) == (1, f"user_classifier.py: error: {complaint}")
    assert (pipeline.topics.read(pipeline.output), pipeline.topics.commit_history(pipeline.group)) == before


def assert_rebuilt(pipeline: Pipeline, changes: list[Change]) -> None:
    """--rebuild gives the oracle's labels, and the next start reads nothing again."""
    inside.run_to_end(pipeline.arguments("--rebuild"))
    assert pipeline.labelling() == oracle.labelled(changes)
    with inside.counting_reads(pipeline.source) as read:
        inside.run_to_end(pipeline.arguments())
    assert read() == 0


def test_the_metadata_of_every_partition_have_the_number_of_users(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(partitions=3)
    changes = labelled(pipeline)
    commits = pipeline.topics.committed(pipeline.group)
    assert set(commits) == {(pipeline.source, partition) for partition in range(3)}
    ids = f" input={pipeline.topics.topic_id(pipeline.source)} output={pipeline.topics.topic_id(pipeline.output)}"
    metadata = f"{MARK}{len(oracle.settled_table(changes))} by={__version__}{ids}"
    assert {without_row_parts(commit.metadata) for commit in commits.values()} == {metadata}


def test_a_second_output_with_the_same_group(pipeline: Pipeline) -> None:
    """Neither a start nor a rebuild takes the offsets of the first output; a group of its own is the remedy."""
    changes = labelled(pipeline)
    second = pipeline.twin()
    own_group, second.group = second.group, pipeline.group
    complaint = (
        f"group {pipeline.group} has its offsets in {pipeline.source} for the output {pipeline.output}, not for"
        f" {second.output}; give this one its own group with -g"
    )
    assert_refused(second, complaint)
    history = pipeline.topics.commit_history(pipeline.group)
    for options in (("--rebuild", "--until-end"), ("--dry-run",), ("--explore-k",), ("--rebuild", "--dry-run")):
        refused = inside.run(second.arguments(*options))
        assert (refused.code, refused.stderr.splitlines()[-1]) == (1, f"user_classifier.py: error: {complaint}")
    checked = inside.run(second.arguments("--check"))
    assert checked.code == 1
    assert (
        f"TO DO   group {pipeline.group}, offsets: {complaint.partition(pipeline.group)[2].strip()}" in checked.stdout
    )
    assert pipeline.topics.commit_history(pipeline.group) == history
    second.group = own_group
    inside.run_to_end(second.arguments())
    assert second.labelling() == oracle.labelled(changes)
    with inside.counting_reads(pipeline.source) as read:
        inside.run_to_end(pipeline.arguments())
    assert read() == 0


def test_a_second_output_and_offsets_that_do_not_name_the_first(pipeline: Pipeline) -> None:
    """As earlier versions wrote them."""
    labelled(pipeline)
    ((_, partition), commit), *_ = pipeline.topics.committed(pipeline.group).items()
    unnamed = commit.metadata.partition(" output_name=")[0]
    pipeline.topics.commit(pipeline.group, pipeline.source, {partition: commit.offset}, unnamed)
    second = pipeline.twin()
    second.group = pipeline.group
    refused = inside.run(second.arguments("--until-end"))
    advice = f"{AGAIN}; or the group is that of another output: give this one its own group with -g"
    assert refused.code == 1
    assert refused.stderr.splitlines()[-1].endswith(advice)
    assert inside.run(pipeline.arguments("--until-end")).code == 0


def test_a_recreated_output(pipeline: Pipeline) -> None:
    changes = labelled(pipeline)
    then = pipeline.topics.topic_id(pipeline.output)
    pipeline.topics.delete(pipeline.output)
    pipeline.topics.create(pipeline.output, 1, {"cleanup.policy": "compact"})
    assert_refused(
        pipeline,
        f"{pipeline.output} was deleted and recreated (the labels that belong to the committed offsets were in the"
        f" old topic; id {then}, now {pipeline.topics.topic_id(pipeline.output)}); {AGAIN}",
    )
    assert_rebuilt(pipeline, changes)


def test_offsets_reset_by_the_kafka_tools(pipeline: Pipeline) -> None:
    changes = labelled(pipeline)
    pipeline.topics.commit(pipeline.group, pipeline.source, {0: 3})
    users = len(oracle.settled_table(changes))
    assert_refused(
        pipeline,
        f"{pipeline.source} [0]: the committed offset 3 was not written by user_classifier,"
        f" {pipeline.output} holds {users} users; {AGAIN}",
    )
    assert_rebuilt(pipeline, changes)


def test_another_group_on_the_same_output(pipeline: Pipeline) -> None:
    changes = labelled(pipeline)
    pipeline.group += "_new"
    users = len(oracle.settled_table(changes))
    assert_refused(pipeline, f"{pipeline.output} holds {users} users, but the group has no committed offsets; {AGAIN}")
    assert_rebuilt(pipeline, changes)


def test_an_offset_after_the_end(pipeline: Pipeline) -> None:
    changes = labelled(pipeline)
    ((_, mark),) = pipeline.topics.committed(pipeline.group).items()
    pipeline.topics.commit(pipeline.group, pipeline.source, {0: 1000}, mark.metadata)
    assert_refused(
        pipeline,
        f"{pipeline.source} [0] lost its records from offset {len(changes)} on, which were read before (unclean leader"
        f" election, lost disk of a broker, or recreated topic); {AGAIN}",
    )
    assert_rebuilt(pipeline, changes)


def test_a_recreated_input(pipeline: Pipeline) -> None:
    changes = labelled(pipeline)
    pipeline.topics.delete(pipeline.source)
    pipeline.topics.create(pipeline.source)
    # The broker has deleted the offsets with the topic.
    users = len(oracle.settled_table(changes))
    assert_refused(pipeline, f"{pipeline.output} holds {users} users, but the group has no committed offsets; {AGAIN}")
    other = aggregation(seed=8, n_users=5, n_transactions=20)
    pipeline.write(place_by_hash(other, 1))
    assert_rebuilt(pipeline, other)
