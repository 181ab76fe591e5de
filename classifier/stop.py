"""The wish to end, by SIGINT or SIGTERM; asked by everything that waits."""

import signal
from types import FrameType


class StopRequest:
    """SIGINT or SIGTERM: end after the step under way. A second signal ends at once."""

    def __init__(self) -> None:
        self.requested = False

    def install(self) -> None:
        """Listen to both signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
