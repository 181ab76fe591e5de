"""__version__, CHANGELOG.md, the marks and the states that releases have left agree."""

import re

from classifier import __version__
from classifier.users.offset_metadata import ANY_FORMAT, FORMAT
from tests.support.pages import CHANGELOG
from tests.support.world import INSERTS, World
from tests.upgrades.sample import samples

RELEASES = re.findall(r"^## (\S+)$", CHANGELOG.text, re.MULTILINE)


def test_the_newest_release_is_this_version() -> None:
    assert RELEASES[0] == __version__


def test_this_version_stands_in_its_marks() -> None:
    world = World()
    world.write(INSERTS)
    world.run()
    marks = [ANY_FORMAT.match(commit.metadata or "") for commit in world.broker.history]
    assert {(mark["format"], mark["by"]) for mark in marks if mark} == {(str(FORMAT), __version__)}
    assert None not in marks


def test_every_release_has_left_a_state() -> None:
    """For a new __version__: python -m tests.upgrades.write."""
    assert {version for version, _ in samples()} == set(RELEASES)


def test_states_bear_the_marks_of_their_release() -> None:
    for version, sample in samples():
        for _, metadata in sample.offsets.values():
            mark = ANY_FORMAT.match(metadata)
            assert mark
            assert mark["by"] == version
            assert int(mark["format"]) <= FORMAT


def test_states_hold_what_is_hard_to_read() -> None:
    """Rows that wait, deleted users, a number that was chosen, keys in Avro, another mode, half a labelling."""
    for version in RELEASES:
        states = [sample for found, sample in samples() if found == version]
        marks = " ".join(mark for state in states for _, mark in state.offsets.values())
        assert all(
            word in marks for word in (" waiting=", " k=", " scale=log", " keys=avro", " mode=upsert", " unfinished")
        )
        assert any(line.split(" ")[2] == "-" for state in states for line in state.output), "a tombstone"
        assert any(" pending:" in line for state in states for line in state.output)
