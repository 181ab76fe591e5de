"""What people look at: one noun per file, imported by user_classifier.py only when asked for.

Nothing here imports the client: the protocols below say what a report is told.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Step(Protocol):
    """One fit whose labels are committed."""

    @property
    def user_ids(self) -> Sequence[str]:
        """In ascending order; the arrays lie in the same one."""
        ...

    @property
    def totals(self) -> NDArray[np.float64]:
        """Shape (n_users, 2): total_amount in the currency of the input, num_transactions as a count."""
        ...

    @property
    def labels(self) -> NDArray[np.int32]:
        """Shape (n_users,)."""
        ...

    @property
    def centers(self) -> NDArray[np.float64]:
        """Shape (n_clusters, 2), ascending total_amount; one row while there are fewer users than clusters."""
        ...

    @property
    def n_records(self) -> int:
        """Number of records read since the last step."""
        ...

    @property
    def n_changes(self) -> int:
        """Number of users whose row or label changed."""
        ...

    @property
    def fit_seconds(self) -> float: ...
    @property
    def commit_seconds(self) -> float: ...

    @property
    def lag(self) -> Mapping[int, int]:
        """Records behind, by partition; empty if unknown."""
        ...


class Report(Protocol):
    """Something that is kept up to date while the client runs."""

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Take the result of a poll, also of one that brought nothing.

        `n_behind` counts over all partitions; None while something other than the input is read or worked on.
        """

    def step(self, step: Step) -> None:
        """Take the result of a step."""

    def close(self) -> None:
        """Show what has not been shown yet, and free what was taken."""


class Reports:
    """Several reports as one. All are closed, even if closing one fails."""

    def __init__(self, reports: Iterable[Report] = ()) -> None:
        self._reports = tuple(reports)

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Tell every report of a poll."""
        for report in self._reports:
            report.read(n_records, n_behind)

    def step(self, step: Step) -> None:
        """Tell every report of a step."""
        for report in self._reports:
            report.step(step)

    def close(self) -> None:
        """Close every report, the last one first."""
        with contextlib.ExitStack() as stack:
            for report in self._reports:
                stack.callback(report.close)
