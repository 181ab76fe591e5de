"""Transactions of users and the changelog they make, as Flink's GROUP BY writes it, in arrays.

An event is one transaction; the row after it is the user's new total. Its changelog is +I for a user's first event,
and -U of the row before and +U of the new one for every other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.lines.job import USER, Row

INSERT, UPDATE_BEFORE, UPDATE_AFTER = 0, 1, 2
SKEW = 0.9
"""User number n by activity acts n ** -SKEW times as often as the most active one."""

MAX_AMOUNT = 100
"""The seed's `FLOOR(RAND() * 100)`."""

TAIL, MOST_PURCHASES = 1.5, 1_000
"""Of customers: the exponent of the Pareto distribution of their purchases, and the most that one makes."""
MEAN_LOG_AMOUNT = 3.0
"""Of what one purchase of a customer costs, whose logarithm is normal with variance 1."""


@dataclass(frozen=True)
class Changes:
    """Records of a changelog: which row, and what happens to it."""

    ops: NDArray[np.uint8]
    events: NDArray[np.int64]
    """The event whose row the record carries."""

    def __len__(self) -> int:
        return len(self.ops)


class History:
    """Events of users 0 to n_users - 1, oldest first, each with the row it leads to."""

    def __init__(self, n_users: int) -> None:
        self.n_users = n_users
        self.users: NDArray[np.int64] = np.empty(0, np.int64)
        self.amounts: NDArray[np.float64] = np.empty(0)
        self.counts: NDArray[np.int64] = np.empty(0, np.int64)
        self._last: NDArray[np.int64] = np.full(n_users, -1, np.int64)

    def __len__(self) -> int:
        return len(self.users)

    def spend(self, users: NDArray[np.int64], amounts: NDArray[np.float64]) -> Changes:
        """Let users spend, one event after the other; return the changelog of it."""
        before = previous_of_same(users)
        known = before >= 0
        first = len(self)
        previous = np.where(known, before + first, self._last[users])
        self.users = np.concatenate((self.users, users))
        totals, counts = self._running(users, amounts)
        self.amounts, self.counts = np.concatenate((self.amounts, totals)), np.concatenate((self.counts, counts))
        events = np.arange(first, first + len(users), dtype=np.int64)
        self._last[users] = events  # of a repeated index the last one stays
        return changes_of(events, previous)

    def as_inserted(self, users: NDArray[np.int64]) -> Changes:
        """Return the changelog that holds the current row of each of these users, and nothing older."""
        return Changes(np.full(len(users), INSERT, np.uint8), self._last[users])

    def _running(
        self, users: NDArray[np.int64], amounts: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Totals and counts after each new event. Amounts are whole numbers, so the sums are exact."""
        order = np.argsort(users, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(users[order]) != 0]) if len(users) else np.empty(0, np.int64)
        lengths = np.diff(np.r_[starts, len(users)])
        sums = np.cumsum(amounts[order])
        before = np.repeat(sums[starts] - amounts[order][starts], lengths)
        ranks = np.arange(len(users)) - np.repeat(starts, lengths)
        last = self._last[users[order]]
        old_amounts, old_counts = np.zeros(len(users)), np.zeros(len(users), np.int64)
        old_amounts[last >= 0], old_counts[last >= 0] = self.amounts[last[last >= 0]], self.counts[last[last >= 0]]
        totals, counts = np.empty(len(users)), np.empty(len(users), np.int64)
        totals[order], counts[order] = old_amounts + sums - before, old_counts + ranks + 1
        return totals, counts

    def table(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """total_amount and num_transactions of each user that has acted, by number."""
        last = self._last[self._last >= 0]
        return self.amounts[last], self.counts[last]

    def rows(self) -> dict[str, Row]:
        """The table by user_id."""
        amounts, counts = self.table()
        users = np.flatnonzero(self._last >= 0).tolist()
        rows = zip(amounts.tolist(), counts.tolist(), strict=True)
        return {f"{USER}{user}": row for user, row in zip(users, rows, strict=True)}

    def had(self, users: NDArray[np.int64], amounts: NDArray[np.float64], counts: NDArray[np.int64]) -> bool:
        """Whether each of these users has had this row at some time."""
        order = np.argsort(self.users, kind="stable")
        n_events = np.bincount(self.users, minlength=self.n_users)
        starts = np.cumsum(n_events) - n_events
        if np.any(users < 0) or np.any(users >= self.n_users):
            return False
        if np.any(counts < 1) or np.any(counts > n_events[users]):
            return False
        return bool(np.all(self.amounts[order[starts[users] + counts - 1]] == amounts))


def previous_of_same(users: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each place the one before it that holds the same user, -1 where there is none."""
    order = np.argsort(users, kind="stable")
    previous = np.full(len(users), -1, np.int64)
    same = users[order[1:]] == users[order[:-1]]
    previous[order[1:][same]] = order[:-1][same]
    return previous


def changes_of(events: NDArray[np.int64], previous: NDArray[np.int64]) -> Changes:
    """+I, or -U and +U, for each event in order."""
    ends = np.cumsum(np.where(previous >= 0, 2, 1))
    size = int(ends[-1]) if len(ends) else 0
    ops, of = np.full(size, INSERT, np.uint8), np.empty(size, np.int64)
    of[ends - 1] = events
    updated = previous >= 0
    ops[ends[updated] - 1], ops[ends[updated] - 2] = UPDATE_AFTER, UPDATE_BEFORE
    of[ends[updated] - 2] = previous[updated]
    return Changes(ops, of)


def n_events_for(n_users: int, n_records: int) -> int:
    """How many events make at least so many records, if each user acts at least once."""
    return max(n_users, -(-(n_records + n_users) // 2))


def skewed_users(rng: np.random.Generator, n_users: int, n_events: int) -> NDArray[np.int64]:
    """Who acts, in order: each user at least once, the others by activity."""
    weights = np.arange(1, n_users + 1, dtype=float) ** -SKEW
    shares = np.cumsum(weights) / weights.sum()
    drawn = np.searchsorted(shares, rng.random(n_events - n_users)).clip(max=n_users - 1)
    numbers = rng.permutation(n_users)  # so that activity does not follow the order of user_id
    users: NDArray[np.int64] = np.concatenate((np.arange(n_users), numbers[drawn])).astype(np.int64)
    return rng.permutation(users)


def whole_amounts(rng: np.random.Generator, n_events: int) -> NDArray[np.float64]:
    """What each event spends."""
    return np.floor(rng.random(n_events) * MAX_AMOUNT)


def purchases(rng: np.random.Generator, users: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Who buys, and for how much, as real customers do: most of them once and for little, a few for very much."""
    numbers = np.minimum(1 + rng.pareto(TAIL, len(users)), MOST_PURCHASES).astype(np.int64)
    amounts: NDArray[np.float64] = np.ceil(np.exp(rng.normal(MEAN_LOG_AMOUNT, 1, numbers.sum())))
    return np.repeat(users, numbers), amounts
