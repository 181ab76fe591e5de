"""A report that shows the newest step now and then, not every one."""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from classifier.reports.step import Step

SHARE_OF_TIME = 10  # a report that takes a second is shown every ten seconds at most


class Clock(Protocol):
    def __call__(self) -> float: ...


class Periodic:
    """Calls `show` with the first step, then with the newest one every `seconds`, and at the end.

    The wait is stretched to ten times what the last `show` took, so that the client has nine tenths of the time
    for itself.
    """

    def __init__(self, show: Callable[[Step], None], seconds: float, clock: Clock = time.monotonic) -> None:
        self._show, self._seconds, self._clock = show, seconds, clock
        self._newest: Step | None = None  # not shown yet
        self._due = clock()

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Show a step that came too early to be shown, once its time has come."""
        if self._clock() >= self._due:
            self.close()

    def bad(self, n_records: int) -> None:
        """What could not be read is not shown."""

    def step(self, step: Step) -> None:
        """Keep the newest step; show it if it is time."""
        self._newest = step
        self.read(0, 0)

    def close(self) -> None:
        """Show what has not been shown yet."""
        if self._newest is None:
            return
        began, step = self._clock(), self._newest
        self._newest = None
        with no_garbage_left():
            self._show(step)
        now = self._clock()
        self._due = now + max(self._seconds, SHARE_OF_TIME * (now - began))


@contextlib.contextmanager
def no_garbage_left() -> Iterator[None]:
    """Free the reference cycles made inside: the client runs with gc disabled, and a figure leaves 8 MB of them.

    What was there before is set aside first, so that a table of a million users is not searched for cycles.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
