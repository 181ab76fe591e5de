"""Services are killed and restarted: the client waits for them."""

from pathlib import Path

from tests.faults.outages import kill_broker, kill_registry
from tests.faults.stack import Stack


def test_broker_killed(stack: Stack, tmp_path: Path) -> None:
    result = kill_broker(stack, tmp_path, seed=1, down_s=[0, 8])
    assert result.passed, str(result)


def test_registry_killed(stack: Stack, tmp_path: Path) -> None:
    result = kill_registry(stack, tmp_path, seed=1, times=1)
    assert result.passed, str(result)
