"""When a step (fit, emit, commit) is due."""

import sys
from dataclasses import dataclass

from classifier.config.settings import Settings

FIRST_CATCH_UP_SECONDS = 10.0  # while behind: time until the first fit, unless many rows have been read
STEP_SECONDS_PER_ROW = 1e-5  # duration of a step per user that it labels for the first time, as measured
# Kafka deletes offsets without a commit after offsets.retention.minutes: 7 days, but only one day on some clusters.
REFRESH_SECONDS = 6 * 3600.0
# Between two ends of the input that decide about a deletion, see `classifier.users.deletions`: much longer than brokers
# take to learn of the new leader of a partition.
ENDS_APART_SECONDS = 1.0
CATCH_UP_FACTOR = 10  # while behind: time to read between two steps, in durations of a step


@dataclass
class Schedule:
    """Decides when a step (fit, emit, commit) is due."""

    settings: Settings
    started: float
    last_end: float | None = None  # of the last step; None before the first
    last_duration: float = FIRST_CATCH_UP_SECONDS / CATCH_UP_FACTOR
    records: int = 0  # since the last step
    rows: int = 0  # left of these records after netting
    max_rows: int = sys.maxsize  # that one transaction takes in time

    @property
    def full(self) -> bool:
        """Whether a step has to run before more is read."""
        return self.rows >= self.max_rows

    def due(self, now: float, at_end: bool, needs_another_end: bool) -> bool:
        """Return whether a step is due.

        With records since the last step: immediately if the batch is full or, with --until-end, at the end of the
        input; else --batch-interval after the last step, and later while behind.

        Without records a step is due at the end of the input: the first one; one that `needs_another_end`, some time
        after the last; and one that commits the offsets again before Kafka deletes them.
        """
        first = self.last_end is None
        since = self.started if self.last_end is None else self.last_end
        if not (self.records or (at_end and (needs_another_end or first or now - since >= REFRESH_SECONDS))):
            return False
        if self.full or (self.settings.batch_size and self.records >= self.settings.batch_size):
            return True
        wait = 0.0 if first else self.settings.batch_interval
        if self.settings.until_end and at_end:
            wait = 0.0 if self.records else min(wait, ENDS_APART_SECONDS)
        elif not (self.records or first):
            wait = max(wait, ENDS_APART_SECONDS)  # an end that comes sooner would not count
        if not at_end:
            wait = max(wait, CATCH_UP_FACTOR * max(self.last_duration, STEP_SECONDS_PER_ROW * self.rows))
        return now - since >= wait

    def stepped(self, began: float, now: float) -> None:
        """Note that a step has run from `began` to `now`."""
        self.last_end = now
        self.last_duration = now - began
        self.records = 0
        self.rows = 0
