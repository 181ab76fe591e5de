"""State and offsets that do not match are refused; --rebuild fixes it."""

from pathlib import Path

import pytest

from tests.faults.resets import RESETS, Reset, kill_rebuild, reset
from tests.faults.stack import Stack


@pytest.mark.parametrize("which", RESETS, ids=lambda which: which.name)
def test_a_reset_is_refused_and_rebuilt(stack: Stack, tmp_path: Path, which: Reset) -> None:
    result = reset(stack, tmp_path, seed=1, which=which)
    assert result.passed, str(result)


def test_a_killed_rebuild_is_continued(stack: Stack, tmp_path: Path) -> None:
    result = kill_rebuild(stack, tmp_path, seed=1)
    assert result.passed, str(result)
