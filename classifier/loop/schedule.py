"""When a step (fit, emit, commit) is due."""

import sys
from dataclasses import dataclass

from classifier.config.settings import Settings

FIRST_CATCH_UP_SECONDS = 10.0  # while behind: time until the first fit, if not many rows have come
STEP_SECONDS_PER_ROW = 1e-5  # what a step takes that labels as many users for the first time, as measured
REFRESH_SECONDS = 24 * 3600.0  # offsets.retention.minutes is 7 days
CATCH_UP_FACTOR = 10  # reading gets this many times what the last step took, or this one is going to


@dataclass
class Schedule:
    """Decides when a step (fit, emit, commit) is due."""

    settings: Settings
    started: float
    last_end: float | None = None  # of the last step
    last_duration: float = FIRST_CATCH_UP_SECONDS / CATCH_UP_FACTOR
    records: int = 0  # since the last step
    rows: int = 0  # of these, what is left after netting
    max_rows: int = sys.maxsize  # what one transaction takes in time

    @property
    def full(self) -> bool:
        """Whether a step has to come before more is read."""
        return self.rows >= self.max_rows

    def due(self, now: float, at_end: bool, needs_another_end: bool) -> bool:
        """Whether the time for a step has come.

        The end of the input is an event of its own: the first labels wait for it, and users who were without a row
        or had several at the last one (`needs_another_end`), even though no record follows. Without news, offsets are
        committed again before Kafka forgets them.
        """
        first, since = self.last_end is None, self.started if self.last_end is None else self.last_end
        if not (self.records or (at_end and (needs_another_end or first or now - since >= REFRESH_SECONDS))):
            return False
        if self.full or (self.settings.batch_size and self.records >= self.settings.batch_size):
            return True
        if self.settings.until_end and at_end:  # nothing more is waited for
            return True
        wait = 0.0 if first else self.settings.batch_interval
        if not at_end:
            wait = max(wait, CATCH_UP_FACTOR * max(self.last_duration, STEP_SECONDS_PER_ROW * self.rows))
        return now - since >= wait

    def stepped(self, began: float, now: float) -> None:
        """Note a step."""
        self.last_end, self.last_duration, self.records, self.rows = now, now - began, 0, 0
