"""What is going on, and how much time is left."""

from __future__ import annotations

import sys
import time


class Progress:
    """Says what is being done; ends the whole within a number of minutes by refusing what would take longer."""

    def __init__(self, minutes: float) -> None:
        self._began = time.monotonic()
        self._seconds = 60 * minutes
        self.left_out: list[str] = []

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """One line, with the time since the start."""
        minutes, seconds = divmod(int(self.seconds), 60)
        print(f"[{minutes:2d}:{seconds:02d}] {text}", file=sys.stderr, flush=True)

    def has_time_for(self, what: str, seconds: float) -> bool:
        """Whether there is time for something that may take so long; if not, it is noted."""
        if self.seconds + seconds <= self._seconds:
            return True
        self.left_out.append(what)
        self.say(f"no time left for {what}")
        return False
