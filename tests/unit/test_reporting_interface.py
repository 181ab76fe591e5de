"""What every report shares: steps to look at, a clock set by hand, several reports as one, names, words."""

import gc
import weakref
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.label_names import label_name, parse_label_names
from classifier.reports import Report, Reports
from classifier.reports.periodic import Periodic
from classifier.step import Step
from classifier.text import money, readable, share, users


def made_step(rows: Sequence[tuple[str, float, int, int]], n_labels: int = 3) -> Step:
    """A step of (user_id, total_amount, num_transactions, label), each centre the mean of its label."""
    totals = np.array([row[1:3] for row in rows], np.float64).reshape(-1, 2)
    labels = np.array([row[3] for row in rows], np.int32)
    centers = [totals[labels == label].mean(axis=0) for label in range(n_labels)] if rows else np.empty((0, 2))
    return step_of([row[0] for row in rows], totals, labels, np.array(centers))


def step_of(
    user_ids: Sequence[str], totals: NDArray[np.float64], labels: NDArray[np.int32], centers: NDArray[np.float64]
) -> Step:
    """A step that took no time."""
    return Step(user_ids, totals, labels, centers, 0, 0, 0.0, 0.0, {})


class Hand:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


EMPTY = made_step([])
A, B, C = (made_step([(name, 1.0, 1, 0)], 1) for name in "abc")


def test_first_step_is_shown_at_once_then_the_newest_when_it_is_time() -> None:
    shown: list[Step] = []
    clock = Hand()
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


def test_what_came_too_early_is_shown_at_the_end_once() -> None:
    shown: list[Step] = []
    report = Periodic(shown.append, 60.0, Hand())
    report.step(A)
    report.step(B)
    report.close()
    report.close()
    assert shown == [A, B]


def test_a_slow_report_takes_a_tenth_of_the_time_at_most() -> None:
    shown: list[Step] = []
    clock = Hand()

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
    """What only the garbage collector can free."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def no_gc() -> Iterator[None]:
    """As the client runs."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_gc")
def test_what_a_report_leaves_behind_is_freed_and_nothing_else_is_searched() -> None:
    before, left = Cycle(), []
    old = weakref.ref(before)
    del before

    def show(step: Step) -> None:
        left.append(weakref.ref(Cycle()))

    report = Periodic(show, 60.0, Hand())
    report.step(A)
    assert [ref() for ref in left] == [None]
    assert old() is not None, "older objects were not looked at"
    assert gc.get_freeze_count() == 0


class Noted:
    """A report that writes down what it is told, and may fail to close."""

    def __init__(self, name: str, calls: list[str], fails: bool = False) -> None:
        self._name, self._calls, self._fails = name, calls, fails

    def read(self, n_records: int, n_behind: int | None) -> None:
        self._calls.append(f"{self._name} read {n_records} {n_behind}")

    def bad(self, n_records: int) -> None:
        self._calls.append(f"{self._name} bad {n_records}")

    def step(self, step: Step) -> None:
        self._calls.append(f"{self._name} step {step.user_ids}")

    def close(self) -> None:
        self._calls.append(f"{self._name} close")
        if self._fails:
            raise OSError("full")


def test_several_reports_are_told_the_same_and_all_are_closed() -> None:
    calls: list[str] = []
    reports: Report = Reports([Noted("1", calls), Noted("2", calls, fails=True)])
    reports.read(3, 4)
    reports.bad(5)
    reports.step(A)
    with pytest.raises(OSError, match="full"):
        reports.close()
    assert calls == [
        "1 read 3 4",
        "2 read 3 4",
        "1 bad 5",
        "2 bad 5",
        "1 step ['a']",
        "2 step ['a']",
        "2 close",
        "1 close",
    ]


def test_label_names() -> None:
    assert parse_label_names("stingy, standard ,spendthrift", 3) == ("stingy", "standard", "spendthrift")
    assert [label_name(label, ("stingy",)) for label in (0, 1)] == ["0 stingy", "1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b", "3 clusters need 3 names, separated by commas, got 2: 'a,b'"),
        ("a,b,c,d", "3 clusters need 3 names, separated by commas, got 4: 'a,b,c,d'"),
        ("a,,c", "the name of label 1 is empty, got 'a,,c'"),
        ("a,b,a", "labels 0 and 2 are both named 'a'; each needs its own name"),
        ("a,b\n!,c", "the name of label 1 has characters that cannot be shown, got 'a,b\\n!,c'"),
    ],
)
def test_label_names_that_cannot_be_meant(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_label_names(text, 3)
    assert str(raised.value) == message


def test_words() -> None:
    assert [users(1), users(1234)] == ["1 user", "1,234 users"]
    assert [share(*of) for of in ((0, 9), (9, 9), (1, 3), (4, 10_000), (9_996, 10_000), (0, 0))] == [
        *("0.0%", "100.0%", "33.3%", "<0.1%", ">99.9%", "0.0%"),
    ]
    assert [money(amount) for amount in (1234.5, -0.5, 1e15, float("nan"))] == ["1,234.50", "-0.50", "1e+15", "-"]
    assert readable("né\n\x1b[2J") == "né\\n\\x1b[2J"
    assert readable("x" * 41) == "x" * 39 + "…"
