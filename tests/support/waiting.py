"""Waiting for a condition instead of for a time."""

import time
from collections.abc import Callable

PAUSE_S = 0.02


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 120.0) -> None:
    """Return as soon as the condition holds; fail, saying for what, when it does not come to hold."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s} s in vain: {what}")
        time.sleep(PAUSE_S)
