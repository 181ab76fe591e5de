"""TransactionSize with a manual clock and made-up deliveries."""

import pytest

from classifier.kafka.transaction_size import TransactionSize


class Clock:
    """A clock that moves only when it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return a clock that is also the time of day."""
    made = Clock()
    monkeypatch.setattr("time.time", made)
    return made


def started(clock: Clock, timeout: float = 60.0) -> TransactionSize:
    """Return the size after the begin of a transaction."""
    size = TransactionSize(timeout, clock)
    size.begin()
    return size


def test_full_when_delivery_takes_the_rest_of_a_quarter_of_the_timeout(clock: Clock) -> None:
    """At 2,000 records a second: after 10 s, 5 s are left for 10,000 records."""
    size = started(clock)
    clock.now += 10.0
    size.measure(n_queued=29_000, n_outstanding=9_000)
    assert not size.full(9_999)
    assert size.full(10_000)
    clock.now += 5.0
    assert size.full(0)


def test_throttled_until_a_rate_is_measured(clock: Clock) -> None:
    size = started(clock)
    assert not size.throttled(999)
    assert size.throttled(1_000)
    clock.now += 0.9
    size.measure(n_queued=1_000, n_outstanding=200)
    assert size.throttled(1_000), "too few deliveries for a rate"
    clock.now += 0.1
    size.measure(n_queued=1_000, n_outstanding=200)
    assert not size.throttled(1_000)
    assert size.max_rows == 800 * 15


def test_not_throttled_after_the_time_of_a_transaction(clock: Clock) -> None:
    size = started(clock)
    clock.now += 15.0
    assert not size.throttled(1_000)


def test_the_rate_is_kept_for_the_next_transaction(clock: Clock) -> None:
    size = started(clock)
    clock.now += 2.0
    size.measure(n_queued=4_000, n_outstanding=0)
    size.note_commit(complete=False)
    clock.now += 50.0
    size.begin()
    assert not size.throttled(1_000)
    assert size.max_rows == 2_000 * 15


def test_few_records_do_not_change_the_rate(clock: Clock) -> None:
    """A delay in a small step does not make a broker slow."""
    size = started(clock)
    before = size.max_rows
    clock.now += 3.0
    size.measure(n_queued=999, n_outstanding=0)
    assert size.max_rows == before == 975_000


def test_minimum_size_for_the_slowest_broker(clock: Clock) -> None:
    """Enough to measure its rate when it gets faster."""
    size = started(clock)
    clock.now += 14.0
    size.measure(n_queued=1_000, n_outstanding=999)
    assert size.max_rows == 1_000


def test_halved_after_each_time_out_and_doubled_after_each_step(clock: Clock) -> None:
    size = started(clock)
    found = [size.max_rows]
    for _ in range(3):
        clock.now += 60.1
        assert size.timed_out
        size.note_failure()
        found.append(size.max_rows)
        size.begin()
    size.note_commit(complete=False)
    found.append(size.max_rows)
    for _ in range(4):
        size.begin()
        size.note_commit(complete=True)
        found.append(size.max_rows)
    assert found == [975_000, 487_500, 243_750, 121_875, 121_875, 243_750, 487_500, 975_000, 975_000]


def test_the_time_of_a_part_is_halved_too(clock: Clock) -> None:
    size = started(clock)
    clock.now += 60.1
    size.note_failure()
    size.begin()
    clock.now += 7.4
    assert not size.full(0)
    clock.now += 0.1
    assert size.full(0)


def test_failures_that_are_no_time_outs_do_not_change_the_size(clock: Clock) -> None:
    size = started(clock)
    before = size.max_rows
    clock.now += 60.0
    size.note_failure()
    clock.now += 600.0
    assert not size.timed_out
    size.note_failure()
    assert size.max_rows == before
