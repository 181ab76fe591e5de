"""How much a transaction may hold, by a clock set by hand and made-up deliveries."""

import pytest

from classifier.kafka.transaction_size import TransactionSize


class Clock:
    """Stands until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of both kinds: seconds that pass, and the time of day."""
    made = Clock()
    monkeypatch.setattr("time.time", made)
    return made


def begun(clock: Clock, timeout: float = 60.0) -> TransactionSize:
    """In a transaction."""
    pace = TransactionSize(timeout, clock)
    pace.begin()
    return pace


def test_a_part_ends_when_what_is_outstanding_takes_the_rest_of_a_quarter(clock: Clock) -> None:
    """At 2,000 records a second: after 10 s there are 5 s left, so for 10,000 records."""
    pace = begun(clock)
    clock.now += 10.0
    pace.measure(n_written=29_000, n_outstanding=9_000)
    assert not pace.full(9_999)
    assert pace.full(10_000)
    clock.now += 5.0
    assert pace.full(0)


def test_the_first_records_are_few_until_some_are_delivered(clock: Clock) -> None:
    pace = begun(clock)
    assert not pace.throttled(999)
    assert pace.throttled(1_000)
    clock.now += 0.9
    pace.measure(n_written=1_000, n_outstanding=200)
    assert pace.throttled(1_000), "not yet enough to tell"
    clock.now += 0.1
    pace.measure(n_written=1_000, n_outstanding=200)
    assert not pace.throttled(1_000)
    assert pace.max_rows == 800 * 15


def test_nothing_is_waited_for_beyond_the_time_of_a_transaction(clock: Clock) -> None:
    pace = begun(clock)
    clock.now += 15.0
    assert not pace.throttled(1_000)


def test_the_rate_stays_from_one_transaction_to_the_next(clock: Clock) -> None:
    pace = begun(clock)
    clock.now += 2.0
    pace.measure(n_written=4_000, n_outstanding=0)
    pace.note_commit(complete=False)
    clock.now += 50.0
    pace.begin()
    assert not pace.throttled(1_000)
    assert pace.max_rows == 2_000 * 15


def test_few_records_tell_nothing(clock: Clock) -> None:
    """A broker that hiccups at a small step is not a slow one."""
    pace = begun(clock)
    before = pace.max_rows
    clock.now += 3.0
    pace.measure(n_written=999, n_outstanding=0)
    assert pace.max_rows == before == 975_000


def test_the_slowest_of_brokers_still_gets_something(clock: Clock) -> None:
    """So much that its rate shows again when it is faster."""
    pace = begun(clock)
    clock.now += 14.0
    pace.measure(n_written=1_000, n_outstanding=999)
    assert pace.max_rows == 1_000


def test_half_as_much_after_each_time_out_and_twice_after_a_step(clock: Clock) -> None:
    pace = begun(clock)
    seen = [pace.max_rows]
    for _ in range(3):
        clock.now += 60.1
        assert pace.timed_out
        pace.note_failure()
        seen.append(pace.max_rows)
        pace.begin()
    pace.note_commit(complete=False)
    seen.append(pace.max_rows)
    for _ in range(4):
        pace.begin()
        pace.note_commit(complete=True)
        seen.append(pace.max_rows)
    assert seen == [975_000, 487_500, 243_750, 121_875, 121_875, 243_750, 487_500, 975_000, 975_000]


def test_the_time_of_a_part_is_halved_likewise(clock: Clock) -> None:
    pace = begun(clock)
    clock.now += 60.1
    pace.note_failure()
    pace.begin()
    clock.now += 7.4
    assert not pace.full(0)
    clock.now += 0.1
    assert pace.full(0)


def test_what_fails_in_time_or_between_transactions_was_not_too_large(clock: Clock) -> None:
    pace = begun(clock)
    before = pace.max_rows
    clock.now += 60.0
    pace.note_failure()
    clock.now += 600.0
    assert not pace.timed_out
    pace.note_failure()
    assert pace.max_rows == before
