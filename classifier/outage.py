"""A service that is away: told once when it begins and once when it ends, in between tried again."""

import logging
import time

log = logging.getLogger("user_classifier")
RETRY_SECONDS = 0.5  # pause between two attempts to reach a service that is away
CALM_SECONDS = 15.0  # without a failure; longer than a call that was sent during the outage can hang


def pause() -> None:
    """Wait a moment before the next attempt."""
    time.sleep(RETRY_SECONDS)


class Outage:
    """Says once that a service is away, and once that it is back.

    One answer is not yet the end: a call of the other client may still hang on a connection that broke, and
    coordinators start after their broker. It is the end once work has been done, or nothing has failed for a while.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self.since: float | None = None
        self.message = ""  # what was said of the outage that lasts
        self.answered_at: float | None = None  # the first time after the last failure

    def note_failure(self, cause: object) -> None:
        """Note that a call failed."""
        self.answered_at = None
        if self.since is None:
            self.since = time.monotonic()
            self.message = f"{self.service}: {cause}; retrying until it is back"
            log.warning(self.message)

    def wait(self, cause: object) -> None:
        """Note that a call failed, and pause before the next attempt."""
        self.note_failure(cause)
        pause()

    def note_answer(self) -> None:
        """Note that a call was answered; the end, if none has failed for long enough."""
        now = time.monotonic()
        if self.since is not None:
            self.answered_at = self.answered_at or now
            if now - self.answered_at >= CALM_SECONDS:
                self.note_recovery()

    def note_recovery(self) -> None:
        """Note that the service does its work."""
        if self.since is not None:
            back = self.answered_at or time.monotonic()
            log.warning("%s: back after %.1f s", self.service, back - self.since)
            self.since, self.answered_at, self.message = None, None, ""
