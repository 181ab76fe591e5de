"""A step that outlasts a transaction comes to its end, and loses and doubles nothing whenever it is killed."""

from pathlib import Path

from tests.faults.slow_broker import label_slowly
from tests.faults.stack import RelayedStack


def test_slow_broker(stack: RelayedStack, tmp_path: Path) -> None:
    result = label_slowly(stack, tmp_path, seed=1)
    print(result.line(), *result.notes, sep="\n")
    assert result.verdict.clean, result
