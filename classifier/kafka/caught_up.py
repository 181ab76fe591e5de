"""When a compacted input was last caught up, and whether its tombstones may have been removed before they were read.

Compaction removes a tombstone once it has been in the topic for delete.retention.ms. A client that has not read it by
then never learns of the deletion. To exclude that, the client keeps the last time at which all records that the brokers
had committed were read. Every unread record is newer, so no unread tombstone is lost within delete.retention.ms of that
time. (A read from the beginning counts as that time: what compaction removes during the read, it has made needless
before, as the pass that begins to count for a tombstone removes the older rows of its user.)

- The time of the last commit would not do: a client that is behind commits, too, and leaves older tombstones unread.
- Timestamps of records would not do: producers set them, and compaction counts from the time when it first reaches a
  tombstone.
- The times are of this machine's clock, since brokers do not report theirs. Clocks that differ by seconds do not
  matter, as compaction is late: it counts from its first pass, and never takes the segment that is being written.
"""

import logging
import math
import time

from classifier.errors import RestoreNeeded
from classifier.formatting import format_duration
from classifier.kafka.source import Topic

log = logging.getLogger("user_classifier")

# A running client confirms an end far more often, unless a step is very large. Without this minimum a topic with a
# delete.retention.ms of seconds would be read from its beginning all the time.
MIN_RUNNING_SECONDS = 600.0
COMMITS_PER_RETENTION = 4  # at least, on a quiet input


class CaughtUp:
    """The last time at which all committed records of an input had been read."""

    def __init__(self, topic: Topic, *, has_tombstones: bool = True) -> None:
        """Without tombstones in the input, no time is kept."""
        self.at: float | None = None  # seconds since the epoch; None if it is not known
        self.retention_seconds = math.inf  # of tombstones
        self._topic = topic
        self._has_tombstones = has_tombstones
        self._reads_all = False  # from its beginning, and no end has been reached since
        self._noted: float | None = None  # the time of the last `note`
        self._committed: float | None = None  # the time in the mark of the last commit

    def begin(self, at: float | None) -> None:
        """Continue to read an input that was caught up at this time.

        Versions that did not keep it leave None: nothing is assumed then, and the next end of the input sets it.
        """
        if self._has_tombstones:
            self.at = at
            self._committed = at
            self.retention_seconds = self._topic.tombstone_seconds()
            self._reads_all = False
            self._noted = None

    def begin_full_read(self) -> None:
        """Read an input from its beginning: what has been removed before is not needed."""
        if self._has_tombstones:
            self.begin(time.time())
            self._reads_all = True

    @property
    def is_too_old(self) -> bool:
        """Whether a tombstone may have been removed unread. A time in the future shows that a clock was wrong."""
        return self._is_older_than(self.retention_seconds)

    @property
    def to_commit(self) -> bool:
        """Whether the time in the mark has become so old that a restart might take tombstones for lost."""
        if self.at is None or self._committed is None:
            return False
        return self.at - self._committed > max(self.retention_seconds, MIN_RUNNING_SECONDS) / COMMITS_PER_RETENTION

    def committed(self) -> None:
        """Take note that the time was committed."""
        self._committed = self.at

    def note(self, at: float | None, *, stopping: bool = False) -> None:
        """Take note that all records committed by then have been read; None if that is not known yet.

        Raises RestoreNeeded if a tombstone may have been removed before it was read, as after a long outage or on a
        machine that was suspended. If the client is `stopping`, the time stays as it was, and the next start finds out.
        """
        if at is None or at == self._noted or not self._has_tombstones:
            return
        self._noted = at
        if self._is_older_than(max(self.retention_seconds, MIN_RUNNING_SECONDS)):
            if not self._reads_all:
                if not stopping:
                    raise RestoreNeeded(str(self))
                return
            # Another read from the beginning would take as long.
            log.warning("%s; to find them, raise delete.retention.ms and run with --rebuild", str(self))
        self.at = at
        self._reads_all = False

    def __str__(self) -> str:
        """What is known once the time is too old."""
        ago = format_duration(time.time() - (self.at or 0.0))
        return (
            f"{self._topic.name} was last read to its end {ago} ago, and compaction keeps deletions for"
            f" {format_duration(self.retention_seconds)} (delete.retention.ms), so some may be lost"
        )

    def _is_older_than(self, seconds: float) -> bool:
        return self.at is not None and abs(time.time() - self.at) > seconds
