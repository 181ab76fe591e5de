"""Aborted transactions in a row: the pauses before the next attempt, and when to give up."""

from classifier.errors import KafkaFailed, RestoreNeeded, TransactionAborted
from classifier.outage import pause
from classifier.stop import StopRequest

MAX_ABORTS = 10  # in a row without a commit, unless their cause passes by itself: about a minute of pauses
MAX_PAUSES = 32  # before one attempt, of RETRY_SECONDS each: 16 s


class Aborts:
    """Counts the sessions in a row that ended without a commit.

    There is no pause after the first one, and from then on 0.5, 1, 2, 4, 8, 16, 16, ... s.
    """

    def __init__(self, stop: StopRequest) -> None:
        self._stop = stop
        self._n_commits = 0  # at the last session that ended
        self._n_failed = 0  # sessions in a row without a commit
        self._n_aborts = 0  # of them, those whose cause may be permanent

    def note(self, reason: RestoreNeeded, n_commits: int) -> None:
        """Record why a session ended; raise KafkaFailed after MAX_ABORTS in a row.

        `n_commits` is the number of transactions committed until now, parts of a step included.
        """
        if n_commits != self._n_commits:
            self._n_commits = n_commits
            self._n_failed = 0
            self._n_aborts = 0
        self._n_failed += 1
        self._n_aborts += isinstance(reason, TransactionAborted) and not reason.passes
        if self._n_aborts >= MAX_ABORTS:
            raise KafkaFailed(f"{reason}, {self._n_aborts} times without a commit; fix the cause and start again")

    def pause(self) -> None:
        """Sleep before the next attempt, until a stop is requested."""
        for _ in range(min(MAX_PAUSES, 2**self._n_failed // 4)):
            if self._stop.requested:
                return
            pause()
