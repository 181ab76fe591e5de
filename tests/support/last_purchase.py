"""A third feature of rows, a point in time. It follows from the two totals, so a `Row` need not hold it."""

import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.changelog import Row

FEATURES = "total_amount,num_transactions,last_purchase"
EPOCH = datetime.fromtimestamp(0, UTC)
DAY_MS = 86_400_000


def last_purchase(total_amount: float, num_transactions: int) -> int:
    """Return the time of a row in milliseconds since 1970: spread over 13 years, as differently as totals differ."""
    return 1_400_000_000_000 + 99 * zlib.crc32(repr((float(total_amount), int(num_transactions))).encode())


def fields_of(row: Row) -> dict[str, Any]:
    """Return all fields of a row; a schema without last_purchase leaves that out."""
    return {**row._asdict(), "last_purchase": last_purchase(*row[1:])}


def check_time(found: datetime | int, total_amount: float, num_transactions: int) -> None:
    """Raise AssertionError if this is not the time of the row with these totals."""
    in_ms = (found - EPOCH) // timedelta(milliseconds=1) if isinstance(found, datetime) else found
    expected = last_purchase(total_amount, num_transactions)
    if in_ms != expected:
        raise AssertionError(f"the row {total_amount}, {num_transactions} has the time {in_ms}, not {expected}")
