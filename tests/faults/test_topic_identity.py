"""A topic that is another one than before is told, and nothing is lost in the end."""

from pathlib import Path

from tests.faults.replaced_topics import CASES, replace_topic
from tests.faults.stack import Stack


def test_told_and_right(stack: Stack, tmp_path: Path) -> None:
    (case,) = (case for case in CASES if case.name == "input made anew longer")
    result = replace_topic(stack, tmp_path, seed=1, case=case)
    assert result.verdict.lost == 0, result
