"""Whether a source has read all that its leaders report."""

import time

from classifier.kafka.ends import EndOffsets
from classifier.kafka.source import Source

ANSWER_SECONDS = 1.0  # that the run loop waits for answers; they usually take a few milliseconds


class EndCheck:
    """Confirms an end: the leader of every partition was asked where it ends, and all records before were read."""

    def __init__(self) -> None:
        self.positions: dict[int, int] = {}  # of the source when the leaders were asked
        self._request: EndOffsets | None = None
        self._wait_until = 0.0

    @property
    def requested(self) -> bool:
        """Whether the leaders were asked, and `confirm` has not taken their answers."""
        return self._request is not None

    @property
    def unanswered(self) -> bool:
        """Whether a leader that was asked has not answered yet."""
        return self._request is not None and self._request.wait() is None

    def request(self, source: Source) -> EndOffsets:
        """Ask the leaders, unless they were asked already; `confirm` takes their answers."""
        if self._request is None:
            self._request = source.request_ends()
            self._wait_until = time.monotonic() + ANSWER_SECONDS
            self.positions = dict(source.positions)
        return self._request

    def confirm(self, source: Source) -> bool:
        """Return whether all records that were committed when the leaders were asked have been read.

        Wait until `ANSWER_SECONDS` after the request; answers that take longer are for later calls.
        """
        ends = self.request(source).wait(max(0.0, self._wait_until - time.monotonic()))
        if ends is None:
            return False
        self._request = None
        return source.take_ends(ends)
