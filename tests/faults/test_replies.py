"""Replies of the broker, of a commit and others, are lost, late or cut off."""

from pathlib import Path

from tests.faults.replies import TRAPS, lose_replies
from tests.faults.stack import RelayedStack


def test_replies_lost(stack: RelayedStack, tmp_path: Path) -> None:
    result = lose_replies(stack, tmp_path, seed=1, times=len(TRAPS))
    assert result.passed, str(result)
