"""A step longer than a transaction is completed, and loses and duplicates nothing whenever the client is killed."""

from pathlib import Path

from tests.faults.slow_broker import label_slowly
from tests.faults.stack import RelayedStack


def test_kills_in_each_part_of_a_long_step(stack: RelayedStack, tmp_path: Path) -> None:
    result = label_slowly(stack, tmp_path, seed=1)
    print(result.line(), *result.notes, sep="\n")
    assert result.passed, str(result)
