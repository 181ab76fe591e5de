"""The wish to end, by SIGINT or SIGTERM; asked by everything that waits.

Guarantee: whatever is away, the process ends within `GRACE_SECONDS` and a moment, and its last line says what has
become of the last step. Before anything has begun, it ends at once.

The kernel keeps from process 1 of a container each signal that it has no handler for: hence a handler from the first
line on, and one for the second signal.
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

GRACE_SECONDS = 8.0  # Kubernetes kills 30 s after it asked, Docker 10
LAST_LINE_SECONDS = 1.0
COMMITTED = "all steps are committed"
NOT_COMMITTED = "the last step is not committed; the next start repeats it"
UNKNOWN = "it is unknown whether the last step is committed; the next start finds out, and loses or repeats nothing"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def exit_on_signal() -> None:
    """End at a signal while the program is still being imported: nothing has begun, so all is well."""
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: os._exit(0))


def exit_as_killed(number: int, frame: FrameType | None) -> None:
    """End as the kernel would end any other process than the first."""
    os._exit(128 + number)


class StopRequest:
    """SIGINT or SIGTERM: end after the step under way. A second signal ends at once."""

    def __init__(self, last_words: Callable[[str], None] = lambda words: None) -> None:
        self.requested = False
        self.last_step = COMMITTED  # what has become of it
        self._last_words, self._timer = last_words, threading.Timer(GRACE_SECONDS, self._end)
        self._timer.daemon = True

    def install(self) -> None:
        """Listen to both signals."""
        for number in SIGNALS:
            signal.signal(number, self._request)

    def close(self) -> None:
        """Note that the end has been reached in time."""
        self._timer.cancel()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL if os.getpid() != 1 else exit_as_killed)
        self._timer.start()

    def _end(self) -> None:
        """End the process from beside: the main thread waits for something that does not come."""
        words = f"stop requested, but a call did not return within {GRACE_SECONDS:.0f} s; {self.last_step}"
        # What does not come to its end may be the writing of a line, with nobody who reads it.
        speaker = threading.Thread(target=self._last_words, args=(words,), daemon=True)
        speaker.start()
        speaker.join(LAST_LINE_SECONDS)
        os._exit(0 if self.last_step == COMMITTED else 1)
