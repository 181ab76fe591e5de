"""Marks beside the offsets: which output they fit, and which input."""

import pytest
from confluent_kafka import OFFSET_INVALID, TopicPartition

from classifier.clustering.number_of_clusters import Chosen
from classifier.errors import StateError
from classifier.users.offset_metadata import (
    FORMAT,
    check_format,
    check_marks,
    check_range,
    chosen_before,
    is_unfinished,
    mark,
    marks_of,
    warn_of_dropped,
)
from classifier.users.table import UserTable

REBUILD = "type this"


def committed(*marks: str | None) -> list[TopicPartition]:
    """Offset 7 in each partition, with a mark; None is a partition without an offset."""
    return [
        TopicPartition("in", at, OFFSET_INVALID if mark is None else 7, mark or "") for at, mark in enumerate(marks)
    ]


@pytest.mark.parametrize(
    ("marks", "n_users", "go_on"),
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
def test_offsets_and_output_that_fit(marks: list[str | None], n_users: int, go_on: bool) -> None:
    assert check_marks(committed(*marks), "out", n_users, "retract", REBUILD) is go_on


@pytest.mark.parametrize(
    ("marks", "n_users", "message"),
    [
        ([None], 3, "out holds 3 users, but the group has no committed offsets; type this"),
        (
            ["user_classifier/1 users=4"],
            3,
            "in [0]: the committed offset 7 belongs to 4 users, but out holds 3; type this",
        ),
        (
            ["user_classifier/1 users=3", "user_classifier/1 users=4"],
            3,
            "in [1]: the committed offset 7 belongs to 4 users, but out holds 3; type this",
        ),
        ([""], 3, "in [0]: the committed offset 7 was not written by user_classifier, out holds 3 users; type this"),
        (
            ["user_classifier/1 users=3 keys=avro mode=append"],
            3,
            "in [0]: the committed offset 7 was reached with --changelog-mode append, this is retract; type this",
        ),
        (["x"], 0, "in [0]: the committed offset 7 was not written by user_classifier, out holds 0 users; type this"),
    ],
)
def test_offsets_and_output_that_do_not_fit(marks: list[str | None], n_users: int, message: str) -> None:
    with pytest.raises(StateError) as caught:
        check_marks(committed(*marks), "out", n_users, "retract", REBUILD)
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
def test_a_labelling_without_its_end_is_seen(marks: list[str | None], unfinished: bool) -> None:
    assert is_unfinished(committed(*marks)) is unfinished


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
        check_format(committed("user_classifier/1 users=3 by=0.1.0", metadata), REBUILD)
    assert str(caught.value) == (
        f"in [1]: the committed offset 7 was written by user_classifier {by}, and this older version does not know how"
        f" to go on from it; run {by} again; type this"
    )


@pytest.mark.parametrize("metadata", ["user_classifier/1 users=3 by=9.0.0", "user_classifier/1 users=3", "", "x", None])
def test_what_is_no_downgrade(metadata: str | None) -> None:
    """A newer version that has kept the format is read; what is no mark at all is told of by others."""
    check_format(committed(metadata), REBUILD)


def test_each_mode_goes_on_from_its_own_marks() -> None:
    for mode in ("retract", "upsert", "append"):
        told = mark(UserTable(), mode, Chosen(4), " partitions=6", by="0.1.0")
        assert told.startswith(f"user_classifier/{FORMAT} users=0 partitions=6")
        assert told.endswith(" by=0.1.0")
        assert check_marks(committed(told), "out", 0, mode, REBUILD)
        for other in {"retract", "upsert", "append"} - {mode}:
            with pytest.raises(StateError, match=f"was reached with --changelog-mode {mode}, this is {other}"):
                check_marks(committed(told), "out", 0, other, REBUILD)


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (None, ""),
        (Chosen(4), " k=4"),
        (Chosen(4, "log"), " k=4 scale=log"),
        (Chosen(10, "standard"), " k=10 scale=standard"),
    ],
)
def test_a_choice_is_kept_with_its_scale(chosen: Chosen | None, told: str) -> None:
    ids = " input=a1 output=b2"
    text = mark(UserTable(), "upsert", chosen, " partitions=6", ids)
    assert text == f"user_classifier/1 users=0 partitions=6 mode=upsert{told}{ids}"
    assert chosen_before(committed(None, text)) == chosen
    assert [marks["output"] for marks in marks_of(committed(text))] == ["b2"], "what comes behind is read, too"


def test_a_choice_of_before_there_were_scales() -> None:
    assert chosen_before(committed("user_classifier/1 users=3 waiting=2 k=4 input=a1 output=b2")) == Chosen(4, "none")


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (8, 9, "in [0]: the committed offset is 7, but the topic now begins at 8 (retention deleted unread records)"),
        (0, 6, "in [0]: the committed offset is 7, but the topic ends at 6 (it was deleted and made again)"),
    ],
)
def test_an_input_that_no_longer_holds_the_offset(low: int, high: int, message: str) -> None:
    with pytest.raises(StateError) as caught:
        check_range({0: committed("x")[0]}, {0: (low, high)}, REBUILD)
    assert str(caught.value) == f"{message}; {REBUILD}"


@pytest.mark.parametrize(("offset", "low", "high"), [(7, 7, 7), (7, 0, 9), (OFFSET_INVALID, 5, 9), (0, 0, 0)])
def test_an_input_that_holds_the_offset(offset: int, low: int, high: int) -> None:
    check_range({0: TopicPartition("in", 0, offset)}, {0: (low, high)}, REBUILD)


@pytest.mark.parametrize(("n_unmatched", "dropped"), [(0, 2), (1, 1), (2, None), (3, None)])
def test_retractions_that_compaction_took(
    n_unmatched: int, dropped: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_dropped(committed("user_classifier/1 users=3 waiting=2", None), n_unmatched)
    expected = (
        f"{dropped} retractions without a row were older than delete.retention.ms and are forgotten;"
        " should a total be wrong: --rebuild"
    )
    assert [record.getMessage() for record in caplog.records] == ([expected] if dropped else [])
