"""Progress messages with the time, and the time that is left."""

from __future__ import annotations

import sys
import time


class Progress:
    """Logs progress, and keeps the run within a number of minutes: what would take longer is skipped."""

    def __init__(self, minutes: float) -> None:
        self._began = time.monotonic()
        self._seconds = 60 * minutes
        self.left_out: list[str] = []
        """Measurements that were skipped."""

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def log(self, text: str) -> None:
        """Print a line to standard error, with the time since the start."""
        minutes, seconds = divmod(int(self.seconds), 60)
        print(f"[{minutes:2d}:{seconds:02d}] {text}", file=sys.stderr, flush=True)

    def has_time_for(self, what: str, seconds: float) -> bool:
        """Return whether `seconds` are left; otherwise add `what` to `left_out`."""
        if self.seconds + seconds <= self._seconds:
            return True
        self.left_out.append(what)
        self.log(f"no time left for {what}")
        return False
