"""How much one transaction may hold, by how fast the brokers took what was written before.

Guarantee: a transaction that is ended when it is `full` takes a quarter of its time-out at the rate measured last, and
the news of `max_rows` rows take no longer than that. After a transaction that timed out all the same it is half as much
for the next step, and half of that after another.
"""

import time
from collections.abc import Callable

SHARE_OF_TIMEOUT = 1 / 4  # the brokers may become much slower meanwhile
FIRST_RATE = 65_000.0  # records a second, taken for granted until measured: a third of what one core does
MIN_RECORDS = 1_000  # records that tell a rate; so many are handed over before one is known
LONG_TRANSACTION_SECONDS = 1.0  # after which the first few of them tell it, too


class TransactionSize:
    """What the brokers take, transaction by transaction; it outlives a restore."""

    def __init__(self, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`timeout`: seconds after which the brokers end a transaction."""
        self._timeout, self._clock = timeout, clock
        self._rate: float | None = None  # records a second
        self._share = 1.0  # of what would be right by the rate
        self._began = clock()
        self._began_at: float | None = None  # time of day; None between transactions

    @property
    def max_rows(self) -> int:
        """Rows whose news one transaction takes in time."""
        by_rate = SHARE_OF_TIMEOUT * self._timeout * (self._rate or FIRST_RATE)
        return max(1, int(self._share * max(MIN_RECORDS, by_rate)))

    @property
    def timed_out(self) -> bool:
        """Whether the brokers have ended the transaction under way. A machine that sleeps has clocks that sleep, too,
        but for the time of day."""
        return self._began_at is not None and time.time() - self._began_at > self._timeout

    def begin(self) -> None:
        """A transaction begins."""
        self._began, self._began_at = self._clock(), time.time()

    def measure(self, n_written: int, n_outstanding: int) -> None:
        """Take it that of so many records of the transaction so many are not delivered yet."""
        seconds, n_delivered = self._clock() - self._began, n_written - n_outstanding
        # Of few records the time is that of one request, and tells nothing of many.
        if (
            n_written >= MIN_RECORDS
            and seconds > 0
            and (n_delivered >= MIN_RECORDS or (n_delivered and seconds >= LONG_TRANSACTION_SECONDS))
        ):
            self._rate = n_delivered / seconds

    def throttled(self, n_outstanding: int) -> bool:
        """Whether more may be handed over only once deliveries have shown how fast they are."""
        return self._rate is None and n_outstanding >= MIN_RECORDS and self._seconds_left > 0

    def full(self, n_outstanding: int) -> bool:
        """Whether what is outstanding takes the rest of the transaction's time."""
        return self._seconds_left <= n_outstanding / (self._rate or FIRST_RATE)

    def note_commit(self, *, complete: bool) -> None:
        """The transaction is committed; `complete`: and with it the step."""
        self._began_at = None
        if complete:
            self._share = min(1.0, 2 * self._share)

    def note_failure(self) -> None:
        """The transaction has failed, or there is none."""
        if self.timed_out:
            self._share /= 2
        self._began_at = None

    @property
    def _seconds_left(self) -> float:
        return self._began + self._share * SHARE_OF_TIMEOUT * self._timeout - self._clock()
