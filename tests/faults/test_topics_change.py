"""The input gets more partitions, or loses its first records; the output has three partitions."""

from pathlib import Path

from tests.faults.stack import Stack
from tests.faults.topics_change import grow, trim


def test_six_partitions_become_twelve(stack: Stack, tmp_path: Path) -> None:
    result = grow(stack, tmp_path, seed=1)
    assert result.passed, str(result)


def test_the_first_records_of_the_input_are_deleted(stack: Stack, tmp_path: Path) -> None:
    result = trim(stack, tmp_path, seed=1)
    assert result.passed, str(result)
