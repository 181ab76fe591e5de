"""The wish to end, by SIGINT or SIGTERM; asked by everything that waits.

Guarantee: whatever is away, the process ends within `GRACE_SECONDS` and a moment, and its last line says what has
become of the last step.
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

GRACE_SECONDS = 8.0  # Kubernetes kills 30 s after it asked, Docker 10
SPEAKING_SECONDS = 1.0
COMMITTED = "all steps are committed"
NOT_COMMITTED = "the last step is not committed; the next start does it again"
UNKNOWN = "whether the last step is committed shows at the next start, which loses and doubles nothing"


class StopRequest:
    """SIGINT or SIGTERM: end after the step under way. A second signal ends at once."""

    def __init__(self, last_words: Callable[[str], None] = lambda words: None) -> None:
        self.requested = False
        self.last_step = COMMITTED  # what has become of it
        self._last_words, self._timer = last_words, threading.Timer(GRACE_SECONDS, self._end)
        self._timer.daemon = True

    def install(self) -> None:
        """Listen to both signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request)

    def close(self) -> None:
        """Note that the end has been reached in time."""
        self._timer.cancel()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        self._timer.start()

    def _end(self) -> None:
        """End the process from beside: the main thread waits for something that does not come."""
        words = f"told to stop, but something did not answer within {GRACE_SECONDS:.0f} s; {self.last_step}"
        # What does not come to its end may be the writing of a line, with nobody who reads it.
        speaker = threading.Thread(target=self._last_words, args=(words,), daemon=True)
        speaker.start()
        speaker.join(SPEAKING_SECONDS)
        os._exit(0 if self.last_step == COMMITTED else 1)
