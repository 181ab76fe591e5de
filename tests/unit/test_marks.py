"""Marks of committed offsets: their text, and which output and input they fit."""

import dataclasses
import re

import pytest
from confluent_kafka import OFFSET_INVALID, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from classifier.clustering.number_of_clusters import Chosen
from classifier.config.settings import SCALES
from classifier.errors import StateError
from classifier.kafka.record import LogPoint
from classifier.users.offset_metadata import FORMAT, Mark, marks_of
from classifier.users.progress import (
    START_OVER,
    caught_up_before,
    check_format,
    check_marks,
    check_range,
    has_offsets,
    warn_of_lost_retractions,
)


def committed(*marks: str | None) -> list[TopicPartition]:
    """Offset 7 in each partition, with a mark; None is a partition without an offset."""
    return [
        TopicPartition("in", at, OFFSET_INVALID if mark is None else 7, mark or "") for at, mark in enumerate(marks)
    ]


@pytest.mark.parametrize(
    ("marks", "n_users", "continues"),
    [
        ([None, None], 0, False),
        (["user_classifier/1 users=3"], 3, True),
        (["user_classifier/1 users=3", None], 3, True),
        (["user_classifier/1 users=0"], 0, True),
        (["user_classifier/1 users=3 waiting=2 partitions=6 keys=avro k=4"], 3, True),
        (["user_classifier/1 users=3 unfinished", "user_classifier/1 users=3 k=4 output=x unfinished"], 2, True),
        (["user_classifier/1 users=3 by=0.1.0 input=a output=b several=2"], 3, True),
    ],
)
def test_offsets_and_output_that_fit(marks: list[str | None], n_users: int, continues: bool) -> None:
    check_marks(committed(*marks), "out", n_users, "retract")
    assert has_offsets(committed(*marks)) is continues


@pytest.mark.parametrize(
    ("marks", "n_users", "message"),
    [
        ([None], 3, f"out holds 3 users, but the group has no committed offsets; {START_OVER}"),
        (
            ["user_classifier/1 users=4"],
            3,
            f"in [0]: the committed offset 7 belongs to 4 users, but out holds 3; {START_OVER}",
        ),
        (
            ["user_classifier/1 users=3", "user_classifier/1 users=4"],
            3,
            f"in [1]: the committed offset 7 belongs to 4 users, but out holds 3; {START_OVER}",
        ),
        (
            [""],
            3,
            f"in [0]: the committed offset 7 was not written by user_classifier, out holds 3 users; {START_OVER}",
        ),
        (
            ["user_classifier/1 users=3 keys=avro mode=append"],
            3,
            f"in [0]: the committed offset 7 was reached with --changelog-mode append, this is retract; {START_OVER}",
        ),
        (
            ["x"],
            0,
            f"in [0]: the committed offset 7 was not written by user_classifier, out holds 0 users; {START_OVER}",
        ),
    ],
)
def test_offsets_and_output_that_do_not_fit(marks: list[str | None], n_users: int, message: str) -> None:
    with pytest.raises(StateError) as caught:
        check_marks(committed(*marks), "out", n_users, "retract")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("marks", "unfinished"),
    [
        ([None, None], False),
        ([""], False),
        (["user_classifier/1 users=3 input=x output=y several=1"], False),
        (["user_classifier/1 users=3 mode=append k=4 scale=log input=x output=y unfinished", None], True),
    ],
)
def test_an_unfinished_labelling_is_recognized(marks: list[str | None], unfinished: bool) -> None:
    assert any(mark.unfinished for mark in marks_of(committed(*marks))) is unfinished


@pytest.mark.parametrize(
    ("metadata", "by"),
    [
        ("user_classifier/2 users=3 by=0.2.0", "0.2.0"),
        ("user_classifier/10 cells=4,5 of=a by=1.0.0rc1 since=7", "1.0.0rc1"),
        ("user_classifier/2", "a newer version"),
    ],
)
def test_a_downgrade_is_refused(metadata: str, by: str) -> None:
    with pytest.raises(StateError) as caught:
        check_format(committed("user_classifier/1 users=3 by=0.1.0", metadata))
    assert str(caught.value) == (
        f"in [1]: the committed offset 7 was written by user_classifier {by}, and this older version cannot"
        f" continue from it; run {by} again; {START_OVER}"
    )


@pytest.mark.parametrize("metadata", ["user_classifier/1 users=3 by=9.0.0", "user_classifier/1 users=3", "", "x", None])
def test_what_is_no_downgrade(metadata: str | None) -> None:
    """A mark of a newer version with the same format is read; other checks report metadata without a mark."""
    check_format(committed(metadata))


def test_each_mode_continues_from_its_own_marks() -> None:
    for mode in ("retract", "upsert", "append"):
        mark = Mark(0, changelog_mode=mode, choice=Chosen(4), layout=" partitions=6", version="0.1.0")
        text = str(mark)
        assert text.startswith(f"user_classifier/{FORMAT} users=0 partitions=6")
        assert text.endswith(" by=0.1.0")
        check_marks(committed(text), "out", 0, mode)
        for other in {"retract", "upsert", "append"} - {mode}:
            with pytest.raises(StateError, match=f"was reached with --changelog-mode {mode}, this is {other}"):
                check_marks(committed(text), "out", 0, other)


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        (None, ""),
        (Chosen(4), " k=4"),
        (Chosen(4, "log"), " k=4 scale=log"),
        (Chosen(10, "standard"), " k=10 scale=standard"),
    ],
)
def test_a_choice_is_kept_with_its_scale(choice: Chosen | None, text: str) -> None:
    ids = {"input": "a1", "output": "b2"}
    mark = Mark(0, changelog_mode="upsert", choice=choice, layout=" partitions=6", ids=ids)
    assert str(mark) == f"user_classifier/1 users=0 partitions=6 mode=upsert{text} input=a1 output=b2"
    assert marks_of(committed(None, str(mark))) == [mark]


def test_a_choice_of_a_version_without_scales() -> None:
    (mark,) = marks_of(committed("user_classifier/1 users=3 waiting=2 k=4 input=a1 output=b2"))
    assert mark.choice == Chosen(4, "none")


def test_a_mark_of_a_version_that_did_not_note_the_last_record() -> None:
    (mark,) = marks_of(committed("user_classifier/1 users=3 by=0.22.0 input=a1 output=b2 several=1 since=5"))
    assert (mark.last_read, mark.row_checksum) == (None, None)
    assert (mark.n_duplicated, mark.unordered_since) == (1, 5)


def test_the_version_before_reads_a_mark_that_notes_the_last_record() -> None:
    """It ignores what follows the parts that it knows."""
    mark = Mark(3, ids={"input": "a1", "output": "b2"}, n_duplicated=1, unordered_since=5)
    noted = dataclasses.replace(mark, last_read=LogPoint(16, 3), row_checksum=7)
    assert str(noted) == f"{mark} last=16.3 rows=00000007"


def test_the_version_before_reads_a_mark_that_names_the_output() -> None:
    mark = Mark(3, ids={"input": "a1", "output": "b2"}, unfinished=True, row_checksum=7, caught_up_at=1764580000)
    assert str(dataclasses.replace(mark, output_name="out")) == f"{mark} output_name=out"


def test_the_longest_mark_fits_into_the_metadata_of_an_offset() -> None:
    """The brokers' default of offset.metadata.max.bytes is 4096."""
    most = 2**63 - 1
    ids = {"input": "x" * 22, "output": "y" * 22}
    mark = Mark(
        most, most, " partitions=100000 keys=avro", "retract", Chosen(most, "log-standard"), "1.0.0rc1", ids, True
    )
    longest = dataclasses.replace(
        mark,
        n_duplicated=most,
        unordered_since=most,
        last_read=LogPoint(most, 2**31),
        row_checksum=7,
        caught_up_at=most,
        output_name="n" * 249,
    )
    assert len(str(longest)) < 1024


def test_the_version_before_reads_a_scale_that_it_does_not_know() -> None:
    """As another scale than its own: it chooses again, and the rest of the mark keeps its meaning."""
    before = (  # of 0.1.0
        r"user_classifier/1 users=(?P<users>\d+)(?: waiting=(?P<waiting>\d+))?"
        r"(?P<layout>(?: partitions=\d+)?(?: keys=avro)?)(?: mode=(?P<mode>\w+))?"
        r"(?: k=(?P<k>\d+)(?: scale=(?P<scale>\w+))?)?(?: by=(?P<by>\S+))?"
        r"(?: input=(?P<input>\S+))?(?: output=(?P<output>\S+))?(?P<unfinished> unfinished)?"
    )
    for scale in set(SCALES) - {"none"}:
        mark = Mark(3, choice=Chosen(4, scale), version="9", ids={"input": "a", "output": "b"}, unfinished=True)
        read = re.match(before, str(mark))
        assert read is not None
        assert read.group("k", "by", "input", "output", "unfinished") == ("4", "9", "a", "b", " unfinished")
        assert (read["scale"] == scale) is (scale in ("standard", "log"))


@given(
    st.builds(
        Mark,
        n_users=st.integers(0, 10**9),
        n_unmatched=st.integers(0, 9),
        layout=st.sampled_from(["", " partitions=6", " keys=avro", " partitions=2 keys=avro"]),
        changelog_mode=st.sampled_from(["retract", "upsert", "append"]),
        choice=st.none() | st.builds(Chosen, st.integers(2, 10), st.sampled_from(SCALES)),
        version=st.sampled_from(["", "0.1.0", "1.0.0rc1"]),
        ids=st.fixed_dictionaries({role: st.sampled_from(["", "x", "y"]) for role in ("input", "output")}),
        unfinished=st.booleans(),
        n_duplicated=st.integers(0, 3),
        unordered_since=st.none() | st.integers(0, 10**12),
        last_read=st.none() | st.builds(LogPoint, st.integers(0, 10**12), st.integers(-1, 10**6)),
        row_checksum=st.none() | st.integers(0, 2**32 - 1),
        caught_up_at=st.none() | st.integers(0, 10**11),
        output_name=st.sampled_from(["", "out", "a-since", "rows.last_7"]),
    )
)
def test_a_mark_is_read_back_as_written(mark: Mark) -> None:
    assert marks_of(committed(str(mark))) == [mark]


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        (Mark(3), "user_classifier/1 users=3"),
        (
            Mark(3, 1, " partitions=6 keys=avro", "upsert", Chosen(4, "log"), "0.1.0", {"input": "a", "output": "b"}),
            "user_classifier/1 users=3 waiting=1 partitions=6 keys=avro mode=upsert k=4 scale=log by=0.1.0 input=a"
            " output=b",
        ),
        (Mark(3, ids={"input": "", "output": "b"}, unfinished=True), "user_classifier/1 users=3 output=b unfinished"),
        (Mark(3, n_duplicated=2, unordered_since=0), "user_classifier/1 users=3 several=2 since=0"),
        (Mark(3, last_read=LogPoint(0, -1), row_checksum=0), "user_classifier/1 users=3 last=0.-1 rows=00000000"),
        (
            Mark(3, unordered_since=4, last_read=LogPoint(16, 3), row_checksum=0xC0FFEE),
            "user_classifier/1 users=3 since=4 last=16.3 rows=00c0ffee",
        ),
        (
            Mark(3, changelog_mode="upsert", row_checksum=7, caught_up_at=1764580000),
            "user_classifier/1 users=3 mode=upsert rows=00000007 caught_up=1764580000",
        ),
    ],
)
def test_the_text_of_a_mark(mark: Mark, text: str) -> None:
    assert str(mark) == text
    assert marks_of(committed(text)) == [mark]


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (8, 9, "in [0]: the committed offset is 7, but the topic now begins at 8 (retention deleted unread records)"),
        (
            0,
            6,
            "in [0] lost its records from offset 6 on, which were read before (unclean leader election, lost disk of a"
            " broker, or recreated topic)",
        ),
    ],
)
def test_an_input_that_no_longer_holds_the_offset(low: int, high: int, message: str) -> None:
    with pytest.raises(StateError) as caught:
        check_range({0: committed("x")[0]}, {0: (low, high)})
    assert str(caught.value) == f"{message}; {START_OVER}"


@pytest.mark.parametrize(
    ("marks", "at"),
    [
        ([None], None),
        ([" caught_up=8", " caught_up=7", None], 7),
        (["", " caught_up=7"], None),
        ([""], None),
    ],
)
def test_when_the_input_was_caught_up(marks: list[str | None], at: int | None) -> None:
    texts = [None if mark is None else f"user_classifier/1 users=3{mark}" for mark in marks]
    assert caught_up_before(committed(*texts)) == at


@pytest.mark.parametrize(("offset", "low", "high"), [(7, 7, 7), (7, 0, 9), (OFFSET_INVALID, 5, 9), (0, 0, 0)])
def test_an_input_that_holds_the_offset(offset: int, low: int, high: int) -> None:
    check_range({0: TopicPartition("in", 0, offset)}, {0: (low, high)})


@pytest.mark.parametrize(("n_unmatched", "n_lost"), [(0, 2), (1, 1), (2, None), (3, None)])
def test_retractions_that_compaction_took(
    n_unmatched: int, n_lost: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_lost_retractions(committed("user_classifier/1 users=3 waiting=2", None), n_unmatched)
    expected = (
        f"{n_lost} unmatched retractions were older than delete.retention.ms and are lost;"
        " if a total is wrong: --rebuild"
    )
    assert [record.getMessage() for record in caplog.records] == ([expected] if n_lost else [])
