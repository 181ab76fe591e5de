"""How much one Kafka transaction may hold, derived from how fast the brokers accepted earlier records.

Guarantee: a transaction that is committed when it is `full` takes a quarter of its timeout, and so does one with the
changes of `max_rows` rows, both at the last measured rate. After a transaction that timed out nevertheless, both
limits are halved, for each timeout again; after each complete step they double, up to the full size.
"""

import time
from collections.abc import Callable

SHARE_OF_TIMEOUT = 1 / 4  # of transaction.timeout.ms; the brokers may become much slower within a transaction
FIRST_RATE = 65_000.0  # records a second, assumed until it is measured: a third of what one core can produce
MIN_RECORDS = 1_000  # delivered records that make a rate; only so many are queued before a rate is known
LONG_TRANSACTION_SECONDS = 1.0  # after that, fewer delivered records make a rate, too


class TransactionSize:
    """Size limit of transactions; it is kept through a restore."""

    def __init__(self, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`timeout` is transaction.timeout.ms in seconds."""
        self.n_commits = 0  # committed transactions, each part of a step counted
        self._timeout = timeout
        self._clock = clock
        self._rate: float | None = None  # delivered records a second
        self._factor = 1.0  # smaller after timeouts
        self._began = clock()
        self._began_time: float | None = None  # time of day; None between transactions

    @property
    def max_rows(self) -> int:
        """Number of rows whose changes one transaction takes in time."""
        by_rate = SHARE_OF_TIMEOUT * self._timeout * (self._rate or FIRST_RATE)
        return max(1, int(self._factor * max(MIN_RECORDS, by_rate)))

    @property
    def timed_out(self) -> bool:
        """Whether the brokers have aborted the current transaction.

        By the time of day: while a machine is suspended, its monotonic clock stands still.
        """
        return self._began_time is not None and time.time() - self._began_time > self._timeout

    def begin(self) -> None:
        """Start the clock of a transaction."""
        self._began = self._clock()
        self._began_time = time.time()

    def measure(self, n_queued: int, n_outstanding: int) -> None:
        """Update the rate: `n_queued` records of this transaction queued, `n_outstanding` of them undelivered."""
        seconds = self._clock() - self._began
        n_delivered = n_queued - n_outstanding
        if n_queued < MIN_RECORDS or n_delivered <= 0 or seconds <= 0:
            return  # a few records take the time of one request, which says nothing about many
        if n_delivered >= MIN_RECORDS or seconds >= LONG_TRANSACTION_SECONDS:
            self._rate = n_delivered / seconds

    def throttled(self, n_outstanding: int) -> bool:
        """Whether to wait for deliveries before more records are queued, because no rate is known yet."""
        return self._rate is None and n_outstanding >= MIN_RECORDS and self._seconds_left > 0

    def full(self, n_outstanding: int) -> bool:
        """Whether the delivery of the outstanding records takes the rest of the transaction's time."""
        return self._seconds_left <= n_outstanding / (self._rate or FIRST_RATE)

    def note_commit(self, *, complete: bool) -> None:
        """Record that the transaction is committed; `complete` if it was the last one of a step."""
        self._began_time = None
        self.n_commits += 1
        if complete:
            self._factor = min(1.0, 2 * self._factor)

    def note_failure(self) -> None:
        """Record that the transaction, if there is one, has failed; halve the limits if it timed out."""
        if self.timed_out:
            self._factor /= 2
        self._began_time = None

    @property
    def _seconds_left(self) -> float:
        return self._began + self._factor * SHARE_OF_TIMEOUT * self._timeout - self._clock()
