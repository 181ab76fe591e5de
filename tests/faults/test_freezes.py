"""A client frozen for too long notices it, restores and continues."""

from pathlib import Path

from tests.faults.freezes import freeze_client
from tests.faults.stack import Stack


def test_a_client_frozen_inside_and_outside_a_transaction(stack: Stack, tmp_path: Path) -> None:
    result = freeze_client(stack, tmp_path, seed=1, times=2)
    assert result.passed, str(result)
