"""SIGTERM ends the client in time in an outage of the registry."""

from pathlib import Path

from tests.faults.stack import Stack
from tests.faults.terminations import CASES, terminate


def test_the_client_ends_in_time(stack: Stack, tmp_path: Path) -> None:
    (case,) = (case for case in CASES if case.name == "registry killed")
    result = terminate(stack, tmp_path, seed=1, case=case)
    assert result.passed, str(result)
