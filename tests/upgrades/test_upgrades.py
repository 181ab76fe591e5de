"""An upgrade is a restart: this version continues from the state of each release. A downgrade is rejected."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from classifier.users.offset_metadata import FORMAT
from tests.support import inside
from tests.support.pipeline import Pipeline, Services
from tests.upgrades.sample import Sample, samples
from tests.upgrades.write import THREE_FEATURES, state_of


def left_by_releases(*unfinished: bool) -> pytest.MarkDecorator:
    """Run a test on each state with, or without, an unfinished labelling."""
    found = [(f"{version}-{sample.name}", sample) for version, sample in samples() if sample.unfinished in unfinished]
    return pytest.mark.parametrize("left", [pytest.param(sample, id=name) for name, sample in found])


@pytest.fixture
def sample(left: Sample, request: pytest.FixtureRequest) -> Sample:
    """The state of the release, with topics of this test."""
    return left.named(f"{left.name}_{request.function.__name__}")


@pytest.fixture
def pipeline(sample: Sample, services: Services, tmp_path: Path) -> Pipeline:
    """The same state in the broker and the registry of the tests."""
    return sample.load(services, tmp_path)


def expected(pipeline: Pipeline, sample: Sample) -> object:
    """Return the labels of a client that has read the whole input itself, with a fixed number of clusters."""
    (n_clusters,) = {
        int(found[1]) for _, mark in sample.offsets.values() if (found := re.search(r" k=(\d+)", mark))
    } or {0}
    options = [str(n_clusters) if each == "auto" else each for each in sample.options]
    twin = pipeline.twin()
    inside.run_to_end(twin.arguments(*options))
    return twin.labelling()


@left_by_releases(False)
def test_this_version_continues(sample: Sample, pipeline: Pipeline) -> None:
    assert_continued(sample, pipeline)


def test_this_version_continues_three_features(services: Services, tmp_path: Path) -> None:
    """The state is that of this version: the sample of 0.1.0 is older than --features."""
    left = state_of(services, tmp_path, THREE_FEATURES)
    sample = left.named(f"{left.name}_again")
    assert_continued(sample, sample.load(services, tmp_path))


def assert_continued(sample: Sample, pipeline: Pipeline) -> None:
    """Run the client on the state, and again after the later records: no user is labelled twice."""
    before = pipeline.topics.read(pipeline.output)
    with inside.counting_reads(pipeline.source) as read:
        inside.run_to_end(pipeline.arguments(*sample.options))
    assert read() == 0, "the release has read all of it"
    assert pipeline.topics.read(pipeline.output) == before, "no user is labelled again"
    sample.write_later(pipeline)
    inside.run_to_end(pipeline.arguments(*sample.options))
    assert pipeline.topics.read(pipeline.output)[: len(before)] == before
    assert len(pipeline.labelling()) > 3
    assert pipeline.labelling() == expected(pipeline, sample)
    pipeline.assert_offsets_sound()
    pipeline.assert_nothing_doubled()


@left_by_releases(True)
def test_this_version_completes_an_unfinished_labelling(sample: Sample, pipeline: Pipeline) -> None:
    before = pipeline.topics.read(pipeline.output)
    finished = inside.run_to_end(pipeline.arguments(*sample.options))
    assert f"continuing an unfinished labelling, {len(before)} users so far" in finished.output
    sample.write_later(pipeline)
    inside.run_to_end(pipeline.arguments(*sample.options))
    assert pipeline.topics.read(pipeline.output)[: len(before)] == before, "no user is labelled again"
    assert len(pipeline.labelling()) > len(before)
    assert pipeline.labelling() == expected(pipeline, sample)
    pipeline.assert_offsets_sound()
    pipeline.assert_nothing_doubled()


@left_by_releases(False, True)
def test_a_third_feature_needs_a_rebuild(sample: Sample, services: Services, tmp_path: Path) -> None:
    """The input has had it all along, and the release was not asked for it."""
    sample = sample.with_third_feature()
    pipeline = sample.load(services, tmp_path)
    before = pipeline.topics.read(pipeline.output), pipeline.topics.commit_history(pipeline.group)
    refused = inside.run(pipeline.arguments(*sample.options, "--until-end"))
    assert refused.code == 1
    last = refused.stderr.splitlines()[-1]
    assert "has other features (total_amount double, num_transactions long) than this run (" in last
    assert last.endswith(" or run with --rebuild")
    assert (pipeline.topics.read(pipeline.output), pipeline.topics.commit_history(pipeline.group)) == before
    inside.run_to_end(pipeline.arguments(*sample.options, "--rebuild"))
    assert len(pipeline.labelling()) > 3
    committed = pipeline.topics.committed(pipeline.group).values()
    rebuilt = replace(sample, offsets={str(each.partition): (each.offset, each.metadata) for each in committed})
    sample.write_later(pipeline)
    inside.run_to_end(pipeline.arguments(*sample.options))
    assert pipeline.labelling() == expected(pipeline, rebuilt), "with the number of clusters chosen by the rebuild"
    pipeline.assert_nothing_doubled()


@left_by_releases(False, True)
def test_an_older_version_rejects_the_state_of_a_newer_one(sample: Sample, pipeline: Pipeline) -> None:
    """Before it reads the output, whose format may differ."""
    newer = f"user_classifier/{FORMAT + 1} cells=7 by=99.1.0"
    for partition, (offset, _) in sample.offsets.items():
        sample.commit(pipeline, int(partition), offset, newer)
    before = pipeline.topics.read(pipeline.output), pipeline.topics.commit_history(pipeline.group)
    for options in ([], ["--dry-run"]):
        with inside.counting_reads(pipeline.output) as read:
            rejected = inside.run(pipeline.arguments(*sample.options, *options))
        assert (rejected.code, read()) == (1, 0)
        offset, _ = sample.offsets["0"]
        assert rejected.stderr.splitlines()[-1] == (
            f"user_classifier.py: error: {pipeline.source} [0]: the committed offset {offset} was written by"
            " user_classifier 99.1.0, and this older version cannot continue from it; run 99.1.0 again;"
            " to start over: run again with --rebuild"
        )
    assert (pipeline.topics.read(pipeline.output), pipeline.topics.commit_history(pipeline.group)) == before
    inside.run_to_end(pipeline.arguments(*sample.options, "--rebuild"))
    assert pipeline.labelling() == expected(pipeline, sample)
