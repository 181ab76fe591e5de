"""Wait for a condition instead of for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PAUSE_S = 0.02


def wait_until(condition: Callable[[], T], what: str, timeout_s: float = 120.0) -> T:
    """Wait until the condition holds, and return its value; TimeoutError names `what` was not reached."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s} s in vain: {what}")
        time.sleep(PAUSE_S)
    return found
