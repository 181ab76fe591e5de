"""A client killed at any moment loses and duplicates nothing, with the two totals and with three features."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.kills import kill_clients
from tests.faults.stack import Stack


@pytest.mark.parametrize(("timed", "times"), [(False, 10), (True, 6)], ids=["two_features", "three_features"])
def test_kill_9(stack: Stack, tmp_path: Path, timed: bool, times: int) -> None:
    result = kill_clients(replace(stack, timed=timed), tmp_path, seed=1, times=times)
    print(result.line(), *result.notes, sep="\n")
    assert result.passed, str(result)
