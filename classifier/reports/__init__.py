"""Reports for people and monitoring: one module each, imported only if an option asks for it.

A report receives polls and steps; it knows nothing of Kafka.
"""

import contextlib
from collections.abc import Iterable
from typing import Protocol

from classifier.reports.step import Step


class Report(Protocol):
    """Shows what the client does. The client calls its methods in the thread of the run loop."""

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Called after every poll, also one without records.

        `n_behind` is the number of records still to read, over all partitions; None during a restore or other work
        that does not read the input.
        """

    def restored(self, *, complete: bool) -> None:
        """Called before the state is restored from Kafka with False, and with True once it is complete."""

    def bad(self, n_records: int) -> None:
        """Called with the number of records that could not be decoded, if there are any."""

    def step(self, step: Step) -> None:
        """Called after every step, once its transaction is committed."""

    def close(self) -> None:
        """Show what is still to be shown, and release resources; called once, at the end."""


class Reports:
    """Several reports as one, or none. All are closed, even if closing one fails."""

    def __init__(self, reports: Iterable[Report] = ()) -> None:
        self._reports = tuple(reports)

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Pass a poll to every report."""
        for report in self._reports:
            report.read(n_records, n_behind)

    def restored(self, *, complete: bool) -> None:
        """Pass the begin or end of a restore to every report."""
        for report in self._reports:
            report.restored(complete=complete)

    def bad(self, n_records: int) -> None:
        """Pass a number of bad records to every report."""
        for report in self._reports:
            report.bad(n_records)

    def step(self, step: Step) -> None:
        """Pass a step to every report."""
        for report in self._reports:
            report.step(step)

    def close(self) -> None:
        """Close every report, the last one first."""
        with contextlib.ExitStack() as stack:
            for report in self._reports:
                stack.callback(report.close)
