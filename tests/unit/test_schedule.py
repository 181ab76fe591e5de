"""When a step is due, on a clock set by the test."""

from dataclasses import replace

import pytest

from classifier.config.settings import Settings
from classifier.loop.schedule import Schedule

SETTINGS = Settings(schema_registry={}, consumer={}, producer={}, batch_interval=2.0)


@pytest.mark.parametrize(
    ("now", "records", "at_end", "needs_another_end", "due"),
    [
        (100.0, 0, False, False, False),  # nothing was read yet
        (100.0, 0, True, False, True),  # an empty input: its offsets are committed once
        (100.0, 5, True, False, True),  # the first labels, without an interval
        (109.9, 5, False, False, False),  # still behind: ten seconds until the first step
        (110.0, 5, False, False, True),
    ],
)
def test_first_step(now: float, records: int, at_end: bool, needs_another_end: bool, due: bool) -> None:
    assert Schedule(SETTINGS, started=100.0, records=records).due(now, at_end, needs_another_end) is due


@pytest.mark.parametrize(("now", "due"), [(119.9, False), (120.0, True)])
def test_a_first_step_of_many_rows_waits_longer(now: float, due: bool) -> None:
    schedule = Schedule(SETTINGS, started=100.0, records=900_000, rows=200_000)
    assert schedule.due(now, at_end=False, needs_another_end=False) is due


@pytest.mark.parametrize(
    ("now", "records", "at_end", "needs_another_end", "due"),
    [
        (199.0, 0, True, False, False),  # nothing new
        (101.9, 1, True, False, False),  # within the interval
        (102.0, 1, True, False, True),
        (102.0, 1, False, False, False),  # behind: ten times the last step's half second
        (104.9, 1, False, False, False),
        (105.0, 1, False, False, True),
        (102.0, 0, True, True, True),  # no record, but a rowless user has to be deleted
        (101.0, 0, True, True, False),
        (199.0, 0, False, True, False),  # not at the end
        (100.0 + 6 * 3600, 0, True, False, True),  # the offsets again, as some clusters keep them for a day only
        (99.0 + 6 * 3600, 0, True, False, False),
    ],
)
def test_later_steps(now: float, records: int, at_end: bool, needs_another_end: bool, due: bool) -> None:
    schedule = Schedule(SETTINGS, started=0.0)
    schedule.stepped(began=99.5, now=100.0)
    schedule.records = records
    assert schedule.due(now, at_end, needs_another_end) is due


@pytest.mark.parametrize(
    ("records", "at_end", "needs_another_end", "due"),
    [(1, True, False, True), (0, True, True, False), (0, True, False, False), (1, False, False, False)],
)
def test_with_until_end_there_is_no_interval_at_the_end(
    records: int, at_end: bool, needs_another_end: bool, due: bool
) -> None:
    schedule = Schedule(replace(SETTINGS, until_end=True, batch_interval=3600.0), started=0.0)
    schedule.stepped(began=99.5, now=100.0)
    schedule.records = records
    assert schedule.due(100.1, at_end, needs_another_end) is due


@pytest.mark.parametrize(
    ("batch_interval", "now", "due"), [(3600.0, 100.9, False), (3600.0, 101.0, True), (0.2, 100.2, True)]
)
def test_with_until_end_a_second_end_comes_soon_but_not_immediately(
    batch_interval: float, now: float, due: bool
) -> None:
    """A transaction may become readable in one partition a moment before another."""
    schedule = Schedule(replace(SETTINGS, until_end=True, batch_interval=batch_interval), started=0.0)
    schedule.stepped(began=99.5, now=100.0)
    assert schedule.due(now, at_end=True, needs_another_end=True) is due


@pytest.mark.parametrize(("records", "due"), [(6, False), (7, True), (8, True)])
def test_a_full_batch_is_due_within_the_interval(records: int, due: bool) -> None:
    schedule = Schedule(replace(SETTINGS, batch_size=7), started=0.0)
    schedule.stepped(began=99.5, now=100.0)
    schedule.records = records
    assert schedule.due(100.0, at_end=False, needs_another_end=False) is due


@pytest.mark.parametrize(("rows", "due"), [(6, False), (7, True), (8, True)])
def test_a_full_transaction_is_due_within_the_interval(rows: int, due: bool) -> None:
    schedule = Schedule(SETTINGS, started=0.0, max_rows=7)
    schedule.stepped(began=99.5, now=100.0)
    schedule.records, schedule.rows = 9, rows
    assert schedule.due(100.0, at_end=False, needs_another_end=False) is due


def test_a_step_resets_the_count() -> None:
    schedule = Schedule(SETTINGS, started=0.0, records=9)
    schedule.stepped(began=3.0, now=4.0)
    assert (schedule.records, schedule.last_end, schedule.last_duration) == (0, 4.0, 1.0)


def test_with_until_end_the_first_step_does_not_wait() -> None:
    """Not even for an input without records."""
    schedule = Schedule(replace(SETTINGS, until_end=True), started=100.0)
    assert schedule.due(100.0, at_end=True, needs_another_end=False)
