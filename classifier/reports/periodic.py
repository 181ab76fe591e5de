"""A report that shows the newest step at intervals, not every step."""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from classifier.reports.step import Step

MIN_INTERVALS = 10  # a report that takes a second is shown every ten seconds at most


class Clock(Protocol):
    """Returns a time in seconds."""

    def __call__(self) -> float: ...


class Periodic:
    """Calls `show` with the first step, then with the newest one every `seconds`, and at the end.

    The interval is at least ten times what the last `show` took: a report takes at most a tenth of the client's time.
    """

    def __init__(self, show: Callable[[Step], None], seconds: float, clock: Clock = time.monotonic) -> None:
        self._show = show
        self._seconds = seconds
        self._clock = clock
        self._newest: Step | None = None  # the newest step, unless it was shown
        self._due = clock()

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Show the newest step if it is due and was not shown."""
        if self._clock() >= self._due:
            self._show_newest()

    def restored(self, *, complete: bool) -> None:
        """A restore is not shown."""

    def bad(self, n_records: int) -> None:
        """Bad records are not shown."""

    def step(self, step: Step) -> None:
        """Keep the newest step; show it if it is due."""
        self._newest = step
        if self._clock() >= self._due:
            self._show_newest()

    def close(self) -> None:
        """Show the newest step unless it was shown."""
        self._show_newest()

    def _show_newest(self) -> None:
        if self._newest is None:
            return
        step = self._newest
        self._newest = None
        began = self._clock()
        with collected_cycles():
            self._show(step)
        now = self._clock()
        self._due = now + max(self._seconds, MIN_INTERVALS * (now - began))


@contextlib.contextmanager
def collected_cycles() -> Iterator[None]:
    """Collect the reference cycles created inside: the client runs with gc disabled, and a figure leaves 8 MB of them.

    Older objects are frozen meanwhile, so that a table of a million users is not searched for cycles.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
