"""A report at intervals: immediately, when due, at the end, and for at most a tenth of the time."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from classifier.reports.periodic import Periodic
from classifier.reports.step import Step
from tests.support.steps import ManualClock, made_step

A, B, C = (made_step([(name, 1.0, 1, 0)], 1) for name in "abc")


def test_the_first_step_is_shown_immediately_then_the_newest_when_due() -> None:
    shown: list[Step] = []
    clock = ManualClock()
    report = Periodic(shown.append, 60.0, clock)
    report.read(5, 0)  # nothing to show yet
    report.step(A)
    assert shown == [A]
    clock.now += 59.9
    report.step(B)
    report.step(C)
    report.read(0, 0)
    assert shown == [A]
    clock.now += 0.1
    report.read(0, 0)  # also when no step follows
    assert shown == [A, C]
    clock.now += 1000
    report.read(0, 0)
    assert shown == [A, C], "nothing new: nothing shown"


def test_a_step_that_was_not_due_is_shown_once_at_the_end() -> None:
    shown: list[Step] = []
    report = Periodic(shown.append, 60.0, ManualClock())
    report.step(A)
    report.step(B)
    report.close()
    report.close()
    assert shown == [A, B]


def test_a_slow_report_takes_a_tenth_of_the_time_at_most() -> None:
    shown: list[Step] = []
    clock = ManualClock()

    def show_slowly(step: Step) -> None:
        shown.append(step)
        clock.now += 20

    report = Periodic(show_slowly, 60.0, clock)
    report.step(A)
    clock.now += 199
    report.step(B)
    assert shown == [A]
    clock.now += 1
    report.read(0, 0)
    assert shown == [A, B]


class Cycle:
    """A reference cycle, which only the garbage collector can free."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def no_gc() -> Iterator[None]:
    """As the client runs."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_gc")
def test_the_cycles_of_a_report_are_collected_and_older_objects_are_not_searched() -> None:
    before, left = Cycle(), []
    old = weakref.ref(before)
    del before

    def show(step: Step) -> None:
        left.append(weakref.ref(Cycle()))

    report = Periodic(show, 60.0, ManualClock())
    report.step(A)
    assert [ref() for ref in left] == [None]
    assert old() is not None, "older objects were not searched"
    assert gc.get_freeze_count() == 0
