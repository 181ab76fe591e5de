"""Whether the table of a line that keeps each user's last row is as right as that can be."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from benchmarks.history import History


class WrongTable(Exception):
    """A line came to another table than the generator."""


def check_last_rows(path: Path, history: History) -> float:
    """Return the share of users whose row is an old one; WrongTable if a user or a row is made up or missing.

    The last row added is not always the current one (see lines/last_row.py), so an old row is no mistake of the line.
    """
    data = path.read_bytes()
    n_users = len(data) // struct.calcsize("qdq")
    users, counts = (np.frombuffer(data, np.int64, n_users, 8 * n_users * at) for at in (0, 2))
    amounts = np.frombuffer(data, np.float64, n_users, 8 * n_users)
    if len(np.unique(users)) != history.n_users:
        raise WrongTable(f"{n_users} users instead of {history.n_users}")
    if not history.had(users, amounts, counts):
        raise WrongTable("a row that no user ever had")
    _, current = history.table()
    return float(np.mean(counts != current[users]))
