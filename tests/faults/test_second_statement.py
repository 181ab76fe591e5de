"""A changelog written twice gets one warning, and every client reads it alike."""

from pathlib import Path

from tests.faults.second_statement import expected, write_twice
from tests.faults.stack import Stack
from tests.support.changelog import Change, Op, Row


def test_a_changelog_written_twice(stack: Stack, tmp_path: Path) -> None:
    result = write_twice(stack, tmp_path, seed=1)
    assert result.passed, str(result)


def test_of_several_rows_the_one_added_last_is_expected() -> None:
    old = Row("ann", 90.0, 9)
    new = Row("ann", 10.0, 1)
    newest = Row("ann", 20.0, 2)
    changes = [Change(Op.INSERT, old), Change(Op.INSERT, new), Change(Op.UPDATE_BEFORE, new)]
    assert expected(changes)["ann"][1:3] == (90.0, 9)
    assert expected([*changes, Change(Op.UPDATE_AFTER, newest)])["ann"][1:3] == (20.0, 2)
