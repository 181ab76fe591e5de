"""Transactions of users as arrays, and the changelog that Flink's GROUP BY writes for them.

An event is one transaction; the row after it holds the user's new totals. In the changelog, a user's first event is +I
of that row; every other event is -U of the previous row and +U of the new one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.programs.job import USER, Row

INSERT = 0
UPDATE_BEFORE = 1
UPDATE_AFTER = 2
"""Values of the op header."""

SKEW = 0.9
"""The user of rank n has n ** -SKEW times as many events as the most active user."""

MAX_AMOUNT = 100
"""The seed's `FLOOR(RAND() * 100)`."""

TAIL = 1.5
"""Exponent of the Pareto distribution of a customer's number of purchases."""

MAX_PURCHASES = 1_000
"""Of one customer."""

MEAN_LOG_AMOUNT = 3.0
"""Mean of the logarithm of a purchase's price, which is normal with variance 1."""


@dataclass(frozen=True)
class Changes:
    """Records of a changelog: an operation and a row each."""

    ops: NDArray[np.uint8]
    events: NDArray[np.int64]
    """The event after which the row was current."""

    def __len__(self) -> int:
        return len(self.ops)


class History:
    """Events of users 0 to n_users - 1, oldest first, each with the row after it."""

    def __init__(self, n_users: int) -> None:
        self.n_users = n_users
        self.users: NDArray[np.int64] = np.empty(0, np.int64)
        self.amounts: NDArray[np.float64] = np.empty(0)
        self.counts: NDArray[np.int64] = np.empty(0, np.int64)
        self._last: NDArray[np.int64] = np.full(n_users, -1, np.int64)

    def __len__(self) -> int:
        return len(self.users)

    def add_events(self, users: NDArray[np.int64], amounts: NDArray[np.float64]) -> Changes:
        """Append events; return their changelog."""
        before = previous_of_same(users)
        known = before >= 0
        first = len(self)
        previous = np.where(known, before + first, self._last[users])
        self.users = np.concatenate((self.users, users))
        totals, counts = self._running(users, amounts)
        self.amounts = np.concatenate((self.amounts, totals))
        self.counts = np.concatenate((self.counts, counts))
        events = np.arange(first, first + len(users), dtype=np.int64)
        self._last[users] = events  # for a repeated index, numpy keeps the last value
        return changes_of(events, previous)

    def inserts(self, users: NDArray[np.int64]) -> Changes:
        """Return a changelog with one +I per user: of the current row."""
        return Changes(np.full(len(users), INSERT, np.uint8), self._last[users])

    def _running(
        self, users: NDArray[np.int64], amounts: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return totals and counts after each new event. Amounts are whole numbers, so the sums are exact."""
        order = np.argsort(users, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(users[order]) != 0]) if len(users) else np.empty(0, np.int64)
        lengths = np.diff(np.r_[starts, len(users)])
        sums = np.cumsum(amounts[order])
        before = np.repeat(sums[starts] - amounts[order][starts], lengths)
        ranks = np.arange(len(users)) - np.repeat(starts, lengths)
        last = self._last[users[order]]
        has_row = last >= 0
        old_amounts = np.zeros(len(users))
        old_amounts[has_row] = self.amounts[last[has_row]]
        old_counts = np.zeros(len(users), np.int64)
        old_counts[has_row] = self.counts[last[has_row]]
        totals = np.empty(len(users))
        totals[order] = old_amounts + sums - before
        counts = np.empty(len(users), np.int64)
        counts[order] = old_counts + ranks + 1
        return totals, counts

    def table(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return total_amount and num_transactions of each user with an event, ascending by number."""
        last = self._last[self._last >= 0]
        return self.amounts[last], self.counts[last]

    def rows(self) -> dict[str, Row]:
        """Return the current rows by user_id."""
        amounts, counts = self.table()
        users = np.flatnonzero(self._last >= 0).tolist()
        rows = zip(amounts.tolist(), counts.tolist(), strict=True)
        return {f"{USER}{user}": row for user, row in zip(users, rows, strict=True)}

    def has_had(self, users: NDArray[np.int64], amounts: NDArray[np.float64], counts: NDArray[np.int64]) -> bool:
        """Return whether each of these rows was the user's current row at some time."""
        order = np.argsort(self.users, kind="stable")
        n_events = np.bincount(self.users, minlength=self.n_users)
        starts = np.cumsum(n_events) - n_events
        if np.any(users < 0) or np.any(users >= self.n_users):
            return False
        if np.any(counts < 1) or np.any(counts > n_events[users]):
            return False
        return bool(np.all(self.amounts[order[starts[users] + counts - 1]] == amounts))


def previous_of_same(users: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, for each index, the previous index with the same user, or -1."""
    order = np.argsort(users, kind="stable")
    previous = np.full(len(users), -1, np.int64)
    same = users[order[1:]] == users[order[:-1]]
    previous[order[1:][same]] = order[:-1][same]
    return previous


def changes_of(events: NDArray[np.int64], previous: NDArray[np.int64]) -> Changes:
    """Return +I, or -U and +U, for each event, in order."""
    ends = np.cumsum(np.where(previous >= 0, 2, 1))
    size = int(ends[-1]) if len(ends) else 0
    ops = np.full(size, INSERT, np.uint8)
    rows = np.empty(size, np.int64)
    rows[ends - 1] = events
    updated = previous >= 0
    ops[ends[updated] - 1] = UPDATE_AFTER
    ops[ends[updated] - 2] = UPDATE_BEFORE
    rows[ends[updated] - 2] = previous[updated]
    return Changes(ops, rows)


def n_events_for(n_users: int, n_records: int) -> int:
    """Return the number of events whose changelog has at least `n_records`, with one event or more per user."""
    return max(n_users, -(-(n_records + n_users) // 2))  # rounded up


def skewed_users(rng: np.random.Generator, n_users: int, n_events: int) -> NDArray[np.int64]:
    """Return the users of events in order: each user at least once, further ones with skewed frequency."""
    weights = np.arange(1, n_users + 1, dtype=float) ** -SKEW
    shares = np.cumsum(weights) / weights.sum()
    ranks = np.searchsorted(shares, rng.random(n_events - n_users)).clip(max=n_users - 1)
    numbers = rng.permutation(n_users)  # frequency is independent of user_id
    users: NDArray[np.int64] = np.concatenate((np.arange(n_users), numbers[ranks])).astype(np.int64)
    return rng.permutation(users)


def whole_amounts(rng: np.random.Generator, n_events: int) -> NDArray[np.float64]:
    """Return a random amount for each event, as in the seed of the project: a whole number."""
    return np.floor(rng.random(n_events) * MAX_AMOUNT)


def purchases(rng: np.random.Generator, users: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return users and amounts of purchases with the distribution of real customers: a few buy most."""
    numbers = np.minimum(1 + rng.pareto(TAIL, len(users)), MAX_PURCHASES).astype(np.int64)
    amounts: NDArray[np.float64] = np.ceil(np.exp(rng.normal(MEAN_LOG_AMOUNT, 1, numbers.sum())))
    return np.repeat(users, numbers), amounts
