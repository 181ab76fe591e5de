"""Outages of a service: one log line when an outage begins, one when it is over, retries in between."""

import logging
import time

log = logging.getLogger("user_classifier")

RETRYING = "retrying until it is back"
RETRY_SECONDS = 0.5  # pause between two attempts
CALM_SECONDS = 15.0  # without a failure; longer than a call that was sent during the outage can hang


def pause() -> None:
    """Sleep before the next attempt."""
    time.sleep(RETRY_SECONDS)


class Outage:
    """State of one service: available, or away since some time. Logs only the changes, also of the advice.

    One answer does not end an outage: a call of another client may still hang on a broken connection, and coordinators
    start after their broker. It ends when the service has done its work (a commit, an answer of the registry), or when
    no call has failed for `CALM_SECONDS`.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self.since: float | None = None  # time of the first failure
        self.answered_at: float | None = None  # time of the first answer after the last failure
        self.message = ""  # last log line of the current outage
        self._silent: dict[str, float] = {}  # by part of the service: the time since which it does not answer
        self._advice: set[str] = set()  # logged in the current outage
        self._over = "back"  # what is logged at its end

    @property
    def seconds(self) -> float:
        """How long the service, or a part of it, has been out of reach; 0 if it works. Any thread may ask."""
        times = [*self._silent.values()]
        since = self.since
        if since is not None:
            times.append(since)
        return time.monotonic() - min(times) if times else 0.0

    def note_silence(self, part: str, since: float) -> None:
        """Record that a part of the service has not answered since a time; the caller logs it."""
        self._silent.setdefault(part, since)

    def note_sound(self, part: str) -> None:
        """Record that a part of the service answers."""
        self._silent.pop(part, None)

    def note_failure(self, cause: object, advice: str = "", meanwhile: str = RETRYING) -> None:
        """Record a failed call; log it if it is the first one, or if the advice is new in this outage.

        `meanwhile` is what the client does about it.
        """
        self.answered_at = None
        begins = self.since is None
        if not begins and (not advice or advice in self._advice):
            return
        self.since = self.since or time.monotonic()
        self._advice.add(advice)
        what = f"{cause}; {advice}" if advice else str(cause)
        if begins:
            self.message = f"{self.service}: {what}; {meanwhile}"
            self._over = "back" if meanwhile == RETRYING else "continued"
        else:
            self.message = f"{self.service}: now {what}; {'still retrying' if meanwhile == RETRYING else meanwhile}"
        log.warning(self.message)

    def wait(self, cause: object, advice: str = "", meanwhile: str = RETRYING) -> None:
        """Record a failed call, and sleep before the next attempt."""
        self.note_failure(cause, advice, meanwhile)
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
        log.warning("%s: %s after %.1f s", self.service, self._over, back_at - self.since)
        self.since = None
        self.answered_at = None
        self.message = ""
        self._advice = set()
