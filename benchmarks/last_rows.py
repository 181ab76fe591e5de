"""Check the table of a program that keeps the last row of each user."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from benchmarks.history import History


class WrongTable(Exception):
    """Raised when a program's result differs from the generated history."""


def check_last_rows(path: Path, history: History) -> float:
    """Return the share of users with an old row; WrongTable if a user is missing or a row never existed.

    The row added last is not always the current one (see programs/last_row.py), so an old row is no error.
    """
    data = path.read_bytes()
    n_users = len(data) // struct.calcsize("qdq")
    users = np.frombuffer(data, np.int64, n_users)
    amounts = np.frombuffer(data, np.float64, n_users, 8 * n_users)
    counts = np.frombuffer(data, np.int64, n_users, 16 * n_users)
    if len(np.unique(users)) != history.n_users:
        raise WrongTable(f"{n_users} users instead of {history.n_users}")
    if not history.has_had(users, amounts, counts):
        raise WrongTable("a row that was never current")
    _, current = history.table()
    return float(np.mean(counts != current[users]))
