"""A start beside somebody else's open transaction restores all or nothing, and says why it waits."""

from pathlib import Path

from tests.faults.open_transactions import restore_beside
from tests.faults.stack import Stack


def test_never_half(stack: Stack, tmp_path: Path) -> None:
    result = restore_beside(stack, tmp_path, seed=1)
    assert result.verdict.clean, result
