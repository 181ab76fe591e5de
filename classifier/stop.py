"""Graceful shutdown on SIGTERM and SIGINT.

Guarantee: even if a broker or the registry is away, the process ends within `GRACE_SECONDS` and a moment, and its last
line says whether the last step is committed. Before the client starts, a signal ends it immediately.

In a container the client may be process 1, which the kernel protects from every signal without a handler. So there is
a handler from the first line on, and another one for the second signal.
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

GRACE_SECONDS = 8.0  # Docker kills a container 10 s after SIGTERM, Kubernetes 30 s
LAST_LINE_SECONDS = 1.0  # time to write the last line
SIGNALS = (signal.SIGINT, signal.SIGTERM)

# States of the last step, as they are written in the last line.
COMMITTED = "all steps are committed"
NOT_COMMITTED = "the last step is not committed; the next start repeats it"
UNKNOWN = "it is unknown whether the last step is committed; the next start finds out, and loses or repeats nothing"


def exit_on_signal() -> None:
    """Exit with code 0 at a signal while the program is being imported: nothing has been done yet."""
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: os._exit(0))


def exit_as_killed(number: int, frame: FrameType | None) -> None:
    """Exit with the code of a process that this signal killed. For process 1, which the kernel does not kill."""
    os._exit(128 + number)


class StopRequest:
    """Whether SIGINT or SIGTERM asked for a stop after the current step. A second signal ends it immediately."""

    def __init__(self, log_last_line: Callable[[str], None] = lambda line: None) -> None:
        """`log_last_line` writes the last line of a process that did not end within `GRACE_SECONDS`."""
        self.requested = False
        self.last_step = COMMITTED  # state of the last step; `Sink.write` keeps it up to date
        self._log_last_line = log_last_line
        self._timer = threading.Timer(GRACE_SECONDS, self._time_out)
        self._timer.daemon = True

    def install(self) -> None:
        """Handle both signals."""
        for number in SIGNALS:
            signal.signal(number, self._request)

    def close(self) -> None:
        """Cancel the timer: the client ended in time."""
        self._timer.cancel()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL if os.getpid() != 1 else exit_as_killed)
        self._timer.start()

    def _time_out(self) -> None:
        """End the process from the timer's thread: a call in the main thread does not return."""
        line = f"stop requested, but a call did not return within {GRACE_SECONDS:.0f} s; {self.last_step}"
        # Writing the line may block as well, if nobody reads standard error: so it has a thread and a time limit.
        writer = threading.Thread(target=self._log_last_line, args=(line,), daemon=True)
        writer.start()
        writer.join(LAST_LINE_SECONDS)
        os._exit(0 if self.last_step == COMMITTED else 1)
