"""Expected labels, by independent code: replay the changelog, then fit once."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, hstack, identity

from tests.support.changelog import Change
from tests.support.kmeans import fitted_kmeans
from tests.support.last_purchase import DAY_MS, last_purchase


class Labelled(NamedTuple):
    """One row of `user_labeling`."""

    user_id: str
    total_amount: float
    num_transactions: int
    label: int


Table = dict[str, tuple[float, int]]
"""user_id -> (total_amount, num_transactions)"""

Multiset = Counter[tuple[float, int]]
"""Row -> number of additions less number of retractions."""


def replay(changes: Iterable[Change]) -> dict[str, Multiset]:
    """The signed multiset of each user after the changes, in any order; without users whose multiset is empty."""
    users: dict[str, Multiset] = {}
    for op, row in changes:
        users.setdefault(row.user_id, Counter())[(row.total_amount, row.num_transactions)] += op.sign
    kept = {user_id: Counter({row: n for row, n in rows.items() if n}) for user_id, rows in users.items()}
    return {user_id: rows for user_id, rows in kept.items() if rows}


def settled_table(changes: Iterable[Change]) -> Table:
    """The table after a complete changelog: one row per user, nothing pending."""
    table: Table = {}
    for user_id, rows in replay(changes).items():
        if len(rows) != 1 or min(rows.values()) < 1:
            raise ValueError(f"the changelog is not settled: {user_id} has {dict(rows)}")
        table[user_id] = next(iter(rows))
    return table


def pending(changes: Iterable[Change]) -> dict[str, list[list[float]]]:
    """The pending rows: of a row that was added twice, the second."""
    users = replay(changes)
    return {
        user_id: [[*row, n - 1] for row, n in rows.items()] for user_id, rows in users.items() if max(rows.values()) > 1
    }


def labels(table: Mapping[str, tuple[float, int]], n_clusters: int, timed: bool = False) -> dict[str, int]:
    """Labels of one fit: rows in the order of user_id, one-hot user_id and totals, labels by mean total_amount.

    With `timed`, last_purchase is a third feature: its age in days before the newest one.
    """
    users = sorted(table)
    if len(users) < n_clusters:
        return dict.fromkeys(users, 0)
    totals = np.array([table[user_id] for user_id in users], dtype=float)
    times = np.array([last_purchase(*table[user_id]) for user_id in users], dtype=float)
    ages = (times.max() - times[:, None]) / DAY_MS
    matrix = csr_matrix(hstack([identity(len(users)), totals, *([ages] if timed else [])]))
    model = fitted_kmeans(matrix, n_clusters, init="k-means++", n_init="auto", random_state=42)
    by_amount = sorted(range(n_clusters), key=lambda number: float(model.cluster_centers_[number, len(users)]))
    return {user_id: by_amount.index(number) for user_id, number in zip(users, model.labels_.tolist(), strict=True)}


def labelled(changes: Iterable[Change], n_clusters: int = 3) -> dict[str, Labelled]:
    """`user_labeling`, compacted, after the complete changelog."""
    table = settled_table(changes)
    numbers = labels(table, n_clusters)
    return {user_id: Labelled(user_id, *row, numbers[user_id]) for user_id, row in table.items()}
