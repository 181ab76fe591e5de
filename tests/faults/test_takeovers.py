"""The newer of two instances continues, the older one stops."""

from pathlib import Path

from tests.faults.stack import Stack
from tests.faults.takeovers import take_over


def test_an_instance_is_taken_over_in_a_transaction(stack: Stack, tmp_path: Path) -> None:
    result = take_over(stack, tmp_path, seed=1, times=3)
    assert result.passed, str(result)
