"""A client killed at any moment loses and duplicates nothing."""

from pathlib import Path

from tests.faults.kills import kill_clients
from tests.faults.stack import Stack


def test_kill_9(stack: Stack, tmp_path: Path) -> None:
    result = kill_clients(stack, tmp_path, seed=1, times=10)
    print(result.line(), *result.notes, sep="\n")
    assert result.passed, str(result)
