"""Several reports as one."""

import pytest

from classifier.reports import Report, Reports
from classifier.reports.step import Step
from tests.support.steps import made_step

A = made_step([("a", 1.0, 1, 0)], 1)


class RecordingReport:
    """A report that records its calls, and may fail to close."""

    def __init__(self, name: str, calls: list[str], fails: bool = False) -> None:
        self._name = name
        self._calls = calls
        self._fails = fails

    def read(self, n_records: int, n_behind: int | None) -> None:
        self._calls.append(f"{self._name} read {n_records} {n_behind}")

    def restored(self, *, complete: bool) -> None:
        self._calls.append(f"{self._name} restored {complete}")

    def bad(self, n_records: int) -> None:
        self._calls.append(f"{self._name} bad {n_records}")

    def step(self, step: Step) -> None:
        self._calls.append(f"{self._name} step {step.user_ids}")

    def close(self) -> None:
        self._calls.append(f"{self._name} close")
        if self._fails:
            raise OSError("full")


def test_all_reports_get_the_same_calls_and_are_closed() -> None:
    calls: list[str] = []
    reports: Report = Reports([RecordingReport("1", calls), RecordingReport("2", calls, fails=True)])
    reports.read(3, 4)
    reports.restored(complete=True)
    reports.bad(5)
    reports.step(A)
    with pytest.raises(OSError, match="full"):
        reports.close()
    assert calls == [
        "1 read 3 4",
        "2 read 3 4",
        "1 restored True",
        "2 restored True",
        "1 bad 5",
        "2 bad 5",
        "1 step ['a']",
        "2 step ['a']",
        "2 close",
        "1 close",
    ]
