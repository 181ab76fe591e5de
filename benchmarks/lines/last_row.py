"""The table that a plain loop keeps: the last row of each user that an op header adds; retractions are skipped.

With more than one partition this is not the user's current row: Confluent hashes a row by its whole value, so the
rows of a user lie in several partitions and are read in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.lines.job import Row

RETRACTIONS = (b"\1", b"\3")
Headers = Iterable[tuple[str, Any]] | None


class LastRows:
    """user_id -> the row seen last."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.n_records = 0

    def take(self, fields: Mapping[str, Any], headers: Headers) -> None:
        """One decoded record."""
        self.n_records += 1
        for name, value in headers or ():
            if name == "op" and value in RETRACTIONS:
                return
        self.rows[fields["user_id"]] = (fields["total_amount"], fields["num_transactions"])
