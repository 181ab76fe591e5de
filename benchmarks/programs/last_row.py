"""The table of a plain loop: the last row added for each user; retractions are skipped.

With more than one partition this is not always the current row: Confluent partitions by a hash of the whole value, so
the rows of a user are in several partitions and arrive in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.programs.job import Row

RETRACTIONS = (b"\1", b"\3")
Headers = Iterable[tuple[str, Any]] | None


class LastRows:
    """The last row by user_id."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.n_records = 0

    def add(self, fields: Mapping[str, Any], headers: Headers) -> None:
        """Process a decoded record."""
        self.n_records += 1
        for name, value in headers or ():
            if name == "op" and value in RETRACTIONS:
                return
        self.rows[fields["user_id"]] = (fields["total_amount"], fields["num_transactions"])
