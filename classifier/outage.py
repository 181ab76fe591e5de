"""Outages of a service: one log line when an outage begins, one when it is over, retries in between."""

import logging
import time

log = logging.getLogger("user_classifier")

RETRY_SECONDS = 0.5  # pause between two attempts
CALM_SECONDS = 15.0  # without a failure; longer than a call that was sent during the outage can hang


def pause() -> None:
    """Sleep before the next attempt."""
    time.sleep(RETRY_SECONDS)


class Outage:
    """State of one service: available, or away since some time. Logs only the changes.

    One answer does not end an outage: a call of another client may still hang on a broken connection, and coordinators
    start after their broker. It ends when the service has done its work (a commit, an answer of the registry), or when
    no call has failed for `CALM_SECONDS`.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self.since: float | None = None  # time of the first failure
        self.answered_at: float | None = None  # time of the first answer after the last failure
        self.message = ""  # log line of the current outage

    def note_failure(self, cause: object) -> None:
        """Record a failed call; log it if it is the first one."""
        self.answered_at = None
        if self.since is None:
            self.since = time.monotonic()
            self.message = f"{self.service}: {cause}; retrying until it is back"
            log.warning(self.message)

    def wait(self, cause: object) -> None:
        """Record a failed call, and sleep before the next attempt."""
        self.note_failure(cause)
        pause()

    def note_answer(self) -> None:
        """Record an answered call; the outage is over if none has failed for `CALM_SECONDS`."""
        if self.since is None:
            return
        now = time.monotonic()
        self.answered_at = self.answered_at or now
        if now - self.answered_at >= CALM_SECONDS:
            self.note_recovery()

    def note_recovery(self) -> None:
        """Record that the service works; log the end of an outage."""
        if self.since is None:
            return
        back_at = self.answered_at or time.monotonic()
        log.warning("%s: back after %.1f s", self.service, back_at - self.since)
        self.since = None
        self.answered_at = None
        self.message = ""
