"""The judge of committed records: which rows and tombstones have a cause in the input."""

import pytest

from tests.faults.history import History, Written
from tests.support.changelog import Aggregate, Row

FIRST, SECOND, THIRD = Row("User_1", 10.0, 1), Row("User_1", 15.0, 2), Row("User_1", 7.0, 1)


@pytest.fixture
def history() -> History:
    """A user is inserted at second 1, updated at 2, deleted at 3, and inserted again at 4."""
    history, table = History(), Aggregate()
    for at, amount in enumerate((10.0, 5.0, None, 7.0), start=1):
        n_before = len(table.changes)
        if amount is None:
            table.delete("User_1")
        else:
            table.spend("User_1", amount)
        for change in table.changes[n_before:]:
            history.note(change, at)
    return history


def written(row: Row | None, made: float) -> Written:
    """A record of the user."""
    return Written("User_1", row, made)


def test_rows_and_a_deletion_in_time(history: History) -> None:
    records = [written(FIRST, 1.5), written(SECOND, 2.5), written(None, 3.5), written(THIRD, 4.5)]
    assert history.wrong(records) == []


def test_a_deletion_before_that_of_the_input(history: History) -> None:
    (wrong,) = history.wrong([written(FIRST, 1.5), written(None, 2.5), written(SECOND, 2.6)])
    assert wrong.startswith(
        "User_1 deleted, whom the input had not deleted since (10.0, 1); the next row was sent -0.500"
    )


def test_a_deletion_of_a_row_that_came_after_the_deletion(history: History) -> None:
    (wrong,) = history.wrong([written(THIRD, 4.5), written(None, 5.5)])
    assert wrong == "User_1 deleted, whom the input had not deleted since (7.0, 1)"


def test_a_deletion_of_a_row_that_the_input_lost(history: History) -> None:
    history.lose(["User_1"], 5.0)
    assert history.wrong([written(THIRD, 4.5), written(None, 5.5)]) == []


def test_a_row_before_the_input_added_it(history: History) -> None:
    assert history.wrong([written(FIRST, 0.5)]) == ["User_1 has (10.0, 1), which the input had not added"]


def test_a_tombstone_of_a_user_without_a_row(history: History) -> None:
    """It deletes nobody: it may hold pending rows, or end them."""
    assert history.wrong([written(None, 0.5)]) == []


@pytest.mark.parametrize(("seconds", "wrong"), [(0.1, 1), (1.0, 0)])
def test_a_row_that_could_not_be_written_in_time(seconds: float, wrong: int) -> None:
    """The retraction of the first row is in the input long before the second row."""
    history, table = History(), Aggregate()
    table.spend("User_1", 10.0)
    table.spend("User_1", 5.0)
    for at, change in zip((1.0, 2.0, 2.0), table.changes, strict=True):
        history.note(change, at)
    history.delivered(table.changes[-1], seconds)
    assert len(history.wrong([written(FIRST, 1.5), written(None, 2.8), written(SECOND, 3.1)])) == wrong
