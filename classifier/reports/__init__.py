"""What people look at: one noun per file, imported only when asked for.

A report is told of polls and steps; it knows nothing of Kafka.
"""

import contextlib
from collections.abc import Iterable
from typing import Protocol

from classifier.reports.step import Step


class Report(Protocol):
    """Something that is kept up to date while the client runs."""

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Take the result of a poll, also of one that brought nothing.

        `n_behind` counts over all partitions; None while something other than the input is read or worked on.
        """

    def bad(self, n_records: int) -> None:
        """Take the number of records that could not be read."""

    def step(self, step: Step) -> None:
        """Take the result of a step."""

    def close(self) -> None:
        """Show what has not been shown yet, and free what was taken."""


class Reports:
    """Several reports as one, or none. All are closed, even if closing one fails."""

    def __init__(self, reports: Iterable[Report] = ()) -> None:
        self._reports = tuple(reports)

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Tell every report of a poll."""
        for report in self._reports:
            report.read(n_records, n_behind)

    def bad(self, n_records: int) -> None:
        """Tell every report of records that could not be read."""
        for report in self._reports:
            report.bad(n_records)

    def step(self, step: Step) -> None:
        """Tell every report of a step."""
        for report in self._reports:
            report.step(step)

    def close(self) -> None:
        """Close every report, the last one first."""
        with contextlib.ExitStack() as stack:
            for report in self._reports:
                stack.callback(report.close)
