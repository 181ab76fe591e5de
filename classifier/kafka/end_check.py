"""Whether a source has read all that its leaders report."""

import time
from collections.abc import Mapping

from classifier.kafka.ends import EndOffsets
from classifier.kafka.source import Source

ANSWER_SECONDS = 1.0  # that the run loop waits for answers; they usually take a few milliseconds


class EndCheck:
    """Confirms an end: the leader of every partition was asked where it ends, and all records before were read."""

    def __init__(self) -> None:
        self.positions: dict[int, int] = {}  # of the source when the leaders were asked
        # All records committed by then, in seconds since the epoch, have been read; None before the first such time.
        self.caught_up_at: float | None = None
        self._request: EndOffsets | None = None
        self._wait_until = 0.0
        self._requested_at = 0.0  # seconds since the epoch
        # An input that is written to all the time may never be at its end, but passes the end that it had before.
        self._end_ahead: tuple[float, Mapping[int, int]] | None = None  # time of a request, and the ends of its answer

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
            self._requested_at = time.time()
        return self._request

    def confirm(self, source: Source) -> bool:
        """Return whether all records that were committed when the leaders were asked have been read.

        Wait until `ANSWER_SECONDS` after the request; answers that take longer are for later calls.
        """
        ends = self.request(source).wait(max(0.0, self._wait_until - time.monotonic()))
        if ends is None:
            return False
        self._request = None
        is_end = source.take_ends(ends)
        ahead = (self._requested_at, ends) if is_end or self._end_ahead is None else self._end_ahead
        requested_at, ends_then = ahead
        if source.behind(ends_then):
            self._end_ahead = ahead
        else:
            self.caught_up_at = requested_at
            self._end_ahead = None
        return is_end
