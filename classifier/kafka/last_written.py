"""Which record of a key was written last, where the records of a key lie in several partitions.

They do where records have no keys, and where partitions were added to a topic. Then the record read last is not always
the one written last.

Rule: within a partition the offset decides; between partitions, of records that may be read in either order, the
timestamp, and of equal ones the higher partition. A record that is written later in the same partition never makes its
key older. So the result does not depend on the order of reading.
"""

import time
from collections.abc import Hashable, Mapping

from classifier.errors import StateError
from classifier.formatting import abbreviated
from classifier.kafka.ends import EndOffsets
from classifier.kafka.source import Source

ENDS_APART_SECONDS = 120.0  # delivery.timeout.ms of producers: how long one may retry to write a record
Age = tuple[int, int]  # timestamp in milliseconds, partition; of two records of a key the larger one is the newer


class LastWritten:
    """Keeps the age of the newest record of each key, as long as an older one may still be read.

    An end is passed once all records have been read that were there when the leaders were asked, those of open
    transactions included. Records read before one end were written before the leaders were asked for the next one, so
    they are older than what is read after that. So ages are kept over one end, and a restart reads again what follows
    it.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._ages: dict[Hashable, Age] = {}  # of keys read since the last end
        self._ages_before: dict[Hashable, Age] = {}  # of keys read between the last end and the one before
        self._last_end: dict[int, int] = {}  # position in each partition
        self._request: EndOffsets | None = None
        self._next_request_at = 0.0
        self._one_partition = False
        self.since: dict[int, int] = {}  # by partition: the ages of records before this offset are not kept

    def begin(self, start: Mapping[int, int], since: Mapping[int, int]) -> None:
        """Start to read at the offsets `start`, which follow records from `since` on whose ages are needed."""
        self._ages = {}
        self._ages_before = {}
        self._last_end = dict(start)
        self._request = None
        self._one_partition = len(start) == 1
        self.since = dict(start) if self._one_partition else {**start, **since}

    def is_newest(self, key: Hashable, partition: int, timestamp: int) -> bool:
        """Take a record; return whether none of its key that was taken before is newer.

        `timestamp` is in milliseconds, negative for none; StateError where only the timestamp could tell.
        """
        if self._one_partition:
            return True
        age = (timestamp, partition)
        known = self._ages.get(key) or self._ages_before.get(key)
        if known is not None:
            if known[1] != partition:
                self._check(key, min(age, known))
                if age < known:
                    return False
            elif age < known:
                age = known
        self._ages[key] = age
        return True

    def note_end(self, source: Source) -> None:
        """Forget ages if an end is passed. All records that were read have been taken."""
        if self._one_partition:
            self.since = dict(source.positions)
        if not (self._ages or self._ages_before):
            return
        if self._request is None:
            if time.monotonic() < self._next_request_at:
                return
            self._request = source.request_ends(committed=False, quiet=True)
        ends = self._request.wait()
        if ends is None or source.behind(ends):
            return
        self._request = None
        self._next_request_at = time.monotonic() + ENDS_APART_SECONDS
        self._ages_before = self._ages
        self._ages = {}
        self.since = self._last_end
        self._last_end = dict(source.positions)

    def _check(self, key: Hashable, older: Age) -> None:
        if older[0] < 0:
            raise StateError(
                f"{self._topic}: records of {abbreviated(key)} lie in several partitions and have no timestamps, so"
                " nothing shows which was written last; write them with timestamps, or to a topic of one partition"
            )
