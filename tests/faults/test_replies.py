"""A commit whose answer never arrives, and its like."""

from pathlib import Path

from tests.faults.replies import TRAPS, lose_replies
from tests.faults.stack import Stack


def test_replies_lost(stack: Stack, tmp_path: Path) -> None:
    result = lose_replies(stack, tmp_path, seed=1, times=len(TRAPS))
    assert result.verdict.clean, result
