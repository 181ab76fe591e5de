"""What the input did to each user, and when: every committed record of the output must have a cause in it."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from tests.support.changelog import Change, Op, Row

CLOCK_S = 0.001
"""Timestamps of records are whole milliseconds."""
LATE_S = 0.9
"""Two ends are a second apart. A row that takes longer to write may be read after the second end without it."""
STEP_S = 5.0
"""How long a client may take from the end of the input to the tombstone."""


class Event(NamedTuple):
    """A row that was added for a user, or the deletion of the user."""

    row: Row | None
    """None: deleted."""
    at: float
    """A moment before it was written; seconds since the epoch."""


class Written(NamedTuple):
    """One committed record of the output."""

    user_id: str
    row: Row | None
    """None: a tombstone."""
    made: float
    """When the client produced it; seconds since the epoch."""


class History:
    """The events of each user, in the order of the aggregation."""

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self._events: dict[str, list[Event]] = {}
        self._first: dict[Row, int] = {}
        """Row -> its index among the events of its user; of a row that was added several times, the first."""
        self._written: dict[Row, float] = {}
        """Row -> when a broker had it; the last time if it was added several times."""
        for change in changes:
            self.note(change)

    def note(self, change: Change, at: float = 0.0) -> None:
        """Take note of a change; a retraction in an update is no event."""
        op, row = change
        events = self._events.setdefault(row.user_id, [])
        if op.sign > 0:
            self._first.setdefault(row, len(events))
            events.append(Event(row, at))
        elif op is Op.DELETE:
            events.append(Event(None, at))

    def delivered(self, change: Change, seconds: float) -> None:
        """Take note of how long the brokers took to confirm a change."""
        if change.op.sign > 0:
            self._written[change.row] = self._events[change.row.user_id][self._first[change.row]].at + seconds

    def lose(self, user_ids: Iterable[str], at: float) -> None:
        """Take note that the input has lost the rows of users, which deletes them."""
        for user_id in user_ids:
            self._events.setdefault(user_id, []).append(Event(None, at))

    def wrong(self, records: Iterable[Written]) -> list[str]:
        """Return what is wrong with any record of the output, in the order in which a reader meets them.

        A row must be one that the input had added for the user. A tombstone needs a deletion of the user that came
        after the row that it deletes, and before the tombstone. The feeder uses no transactions: while it cannot write
        to a broker, the input may have the retraction of a row and not the next row; such a user may be deleted.
        """
        wrong: list[str] = []
        labelled: dict[str, Row] = {}
        for record in records:
            user_id, row, _ = record
            before = labelled.pop(user_id, None)
            if row is not None:
                labelled[user_id] = row
                if not self._added(record):
                    wrong.append(f"{user_id} has {tuple(row[1:])}, which the input had not added")
            elif before is not None and not self._deleted(record, before):
                next_row = self._next_row(record, before)
                wrong.append(f"{user_id} deleted, whom the input had not deleted since {tuple(before[1:])}{next_row}")
        return wrong

    def _next_row(self, record: Written, row: Row) -> str:
        """The row after this one, and when it was written: before or after the tombstone."""
        later = self._events.get(record.user_id, [])[self._first.get(row, -1) + 1 :]
        event = next((event for event in later if event.row), None)
        if event is None or event.row is None:
            return ""
        asked, confirmed = (at - record.made for at in (event.at, self._written.get(event.row, math.nan)))
        return f"; the next row was sent {asked:+.3f} s and written {confirmed:+.3f} s from the tombstone"

    def _added(self, record: Written) -> bool:
        row = record.row
        index = self._first.get(row) if row is not None else None
        return index is not None and self._events[record.user_id][index].at <= record.made + CLOCK_S

    def _deleted(self, record: Written, row: Row) -> bool:
        later = self._events.get(record.user_id, [])[self._first.get(row, -1) + 1 :]
        return any(
            event.at <= record.made + CLOCK_S and (event.row is None or self._is_late(event, record.made))
            for event in later
        )

    def _is_late(self, event: Event, made: float) -> bool:
        """Whether a row took long to write, and was written at most STEP_S before the tombstone."""
        written = self._written.get(event.row, -math.inf) if event.row else -math.inf
        return written > event.at + LATE_S and written > made - STEP_S
