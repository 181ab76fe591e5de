"""A service that is away: told once when it begins and once when it ends, in between tried again."""

import logging
import time

log = logging.getLogger("user_classifier")
RETRY_SECONDS = 0.5  # pause between two attempts to reach a service that is away


def pause() -> None:
    """Wait a moment before the next attempt."""
    time.sleep(RETRY_SECONDS)


class Outage:
    """Says once that a service is away, and once that it is back."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.since: float | None = None

    def begins(self, cause: object) -> None:
        """Note that a call failed."""
        if self.since is None:
            self.since = time.monotonic()
            log.warning("%s: %s; trying again until it is back", self.service, cause)

    def wait(self, cause: object) -> None:
        """Note that a call failed, and pause before the next attempt."""
        self.begins(cause)
        pause()

    def ends(self) -> None:
        """Note that a call was answered."""
        if self.since is not None:
            log.warning("%s: back after %.1f s", self.service, time.monotonic() - self.since)
            self.since = None
