"""An upgrade is a restart: this version goes on from what each release has left, and a downgrade is refused."""

import re
from pathlib import Path

import pytest

from classifier.users.offset_metadata import FORMAT
from tests.support import inside
from tests.support.pipeline import Pipeline, Services
from tests.upgrades.sample import Sample, samples


def left_by_releases(*unfinished: bool) -> pytest.MarkDecorator:
    """Run a test on each state that is, or is not, the middle of a labelling."""
    found = [(f"{version}-{sample.name}", sample) for version, sample in samples() if sample.unfinished in unfinished]
    return pytest.mark.parametrize("left", [pytest.param(sample, id=name) for name, sample in found])


@pytest.fixture
def sample(left: Sample, request: pytest.FixtureRequest) -> Sample:
    """What the release has left, with topics of this test's own."""
    return left.named(f"{left.name}_{request.function.__name__}")


@pytest.fixture
def pipeline(sample: Sample, services: Services, tmp_path: Path) -> Pipeline:
    """The same in this run's broker and registry."""
    return sample.load(services, tmp_path)


def expected(pipeline: Pipeline, sample: Sample) -> object:
    """The labels of a client that has read all of the input by itself, and been told the number of clusters."""
    (n_clusters,) = {
        int(found[1]) for _, mark in sample.offsets.values() if (found := re.search(r" k=(\d+)", mark))
    } or {0}
    options = [str(n_clusters) if each == "auto" else each for each in sample.options]
    twin = pipeline.twin()
    inside.run_to_end(twin.arguments(*options))
    return twin.labelling()


@left_by_releases(False)
def test_this_version_goes_on(sample: Sample, pipeline: Pipeline) -> None:
    before = pipeline.topics.read(pipeline.output)
    with inside.counting_reads(pipeline.source) as read:
        inside.run_to_end(pipeline.arguments(*sample.options))
    assert read() == 0, "all of it was read by the release"
    assert pipeline.topics.read(pipeline.output) == before, "nobody is labelled anew"
    sample.write_later(pipeline)
    inside.run_to_end(pipeline.arguments(*sample.options))
    assert pipeline.topics.read(pipeline.output)[: len(before)] == before
    assert len(pipeline.labelling()) > 3
    assert pipeline.labelling() == expected(pipeline, sample)
    pipeline.assert_offsets_sound()
    pipeline.assert_nothing_doubled()


@left_by_releases(True)
def test_this_version_ends_what_a_release_has_begun(sample: Sample, pipeline: Pipeline) -> None:
    before = pipeline.topics.read(pipeline.output)
    finished = inside.run_to_end(pipeline.arguments(*sample.options))
    assert f"an unfinished labelling, of {len(before)} users so far; it goes on" in finished.output
    sample.write_later(pipeline)
    inside.run_to_end(pipeline.arguments(*sample.options))
    assert pipeline.topics.read(pipeline.output)[: len(before)] == before, "nobody is labelled anew"
    assert len(pipeline.labelling()) > len(before)
    assert pipeline.labelling() == expected(pipeline, sample)
    pipeline.assert_offsets_sound()
    pipeline.assert_nothing_doubled()


@left_by_releases(False, True)
def test_an_older_version_refuses_what_a_newer_one_has_left(sample: Sample, pipeline: Pipeline) -> None:
    """Before it reads the output, whose records may be others, too."""
    newer = f"user_classifier/{FORMAT + 1} cells=7 by=99.1.0"
    for partition, (offset, _) in sample.offsets.items():
        sample.commit(pipeline, int(partition), offset, newer)
    before = pipeline.topics.read(pipeline.output), pipeline.topics.commit_history(pipeline.group)
    for options in ([], ["--dry-run"]):
        with inside.counting_reads(pipeline.output) as read:
            refused = inside.run(pipeline.arguments(*sample.options, *options))
        assert (refused.code, read()) == (1, 0)
        offset, _ = sample.offsets["0"]
        assert refused.stderr.splitlines()[-1] == (
            f"user_classifier.py: error: {pipeline.source} [0]: the committed offset {offset} was written by"
            " user_classifier 99.1.0, and this older version does not know how to go on from it; run 99.1.0 again;"
            " to start over: run again with --rebuild"
        )
    assert (pipeline.topics.read(pipeline.output), pipeline.topics.commit_history(pipeline.group)) == before
    inside.run_to_end(pipeline.arguments(*sample.options, "--rebuild"))
    assert pipeline.labelling() == expected(pipeline, sample)
