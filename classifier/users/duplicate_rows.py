"""Users with more than one row: which row is current.

A changelog that is written twice leaves such users, e.g. when a statement is deleted and created again: nothing ever
retracts the rows of the old one.

Rule: the current row is the one with the newest record, by the record's timestamp. Where a row was added several times,
its record is the newest that was not retracted; a retraction removes the newest before it. Ties: the higher partition
wins, then the higher offset. (Flink may write all changes of a user within one millisecond, but then retracts the
earlier ones.) So a rebuild, a fresh start and an undisturbed run agree, with one exception: a row is added twice and
retracted once by a plain -D, which Flink's updates never do. An undisturbed run may then still order the row by the
newer record, and a rebuild orders it by the older one.

Users with one row cost nothing: no timestamp is read. What is read after an end of the input is newer than what was
read before it, which orders nearly all rows. The input is read again only where two rows of a user arrived between the
same two ends and are both still there at the next end, from the first of these ends on (`RowOrder`).
"""

import logging
from collections.abc import Iterable, Mapping

from confluent_kafka import TopicPartition

from classifier.formatting import format_user_id, format_users
from classifier.kafka.record import Record
from classifier.row import Row
from classifier.users.offset_metadata import n_duplicated_before, unordered_since
from classifier.users.table import UserTable

log = logging.getLogger("user_classifier")

Age = tuple[int, int, int]  # of a record: timestamp, partition, offset; the newest is the largest


class RowOrder:
    """Orders rows by their newest record that was not retracted."""

    def __init__(self, rows: Iterable[tuple[str, Row]]) -> None:
        """`rows`: users and their rows; other rows are ignored."""
        self._added: dict[tuple[str, Row], list[Age]] = {row: [] for row in rows}

    def take(self, message: Record, user_row: tuple[str, Row], sign: int) -> None:
        """Add a record. The records of one row are in one partition, in the order in which they were written."""
        added = self._added.get(user_row)
        if added is None:
            return
        if sign > 0:
            added.append((message.timestamp()[1], message.partition(), message.offset()))
            return
        same_partition = [age for age in added if age[1] == message.partition()]
        if same_partition:
            added.remove(same_partition[-1])

    def in_order(self) -> dict[str, list[Row]]:
        """Return the rows whose records were read, by user, the newest last."""
        found: dict[str, list[tuple[Age, Row]]] = {}
        for (user_id, row), ages in self._added.items():
            if ages:
                found.setdefault(user_id, []).append((max(ages), row))
        return {user_id: [row for _, row in sorted(rows)] for user_id, rows in found.items()}


class DuplicateRows:
    """Follows users with more than one row from one end of the input to the next.

    Records of one transaction may become readable in one partition a moment before another. So a user counts as
    duplicated after two ends in a row, and rows are read again no earlier.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._warned = False
        self.n_duplicated = 0  # with more than one row at the last two ends
        self.since: dict[int, int] = {}  # by partition: rows added before this offset are ordered
        self._last_end: dict[int, int] = {}  # by partition
        self._at_last_end: set[str] = set()  # users with more than one row
        self._unordered_at_last_end: set[str] = set()

    def begin(self, table: UserTable, start: Mapping[int, int], committed: Mapping[int, TopicPartition]) -> bool:
        """Start to read at the offsets `start`; return whether the rows that were restored are ordered."""
        noted = unordered_since(committed)
        self.since = {**start, **noted}
        self._last_end = dict(self.since)
        self._at_last_end = set(table.duplicated)
        self._unordered_at_last_end = set()
        self.n_duplicated = n_duplicated_before(committed.values()) or 0
        return not noted

    @property
    def needs_another_end(self) -> bool:
        """Whether the next end changes what is known even if no record arrives before it."""
        return len(self._at_last_end) > self.n_duplicated or bool(self._unordered_at_last_end)

    def input_ended(self, table: UserTable, *, last: bool) -> bool:
        """Take note of an end of the input; return whether rows have to be read again now.

        `last`: there is no next end, so this one is enough.
        """
        at_both_ends = table.duplicated if last else table.duplicated & self._at_last_end
        unordered = table.unordered if last else table.unordered & self._unordered_at_last_end
        self._at_last_end = set(table.duplicated)
        self._unordered_at_last_end = set(table.unordered)
        self.n_duplicated = len(at_both_ends)
        if at_both_ends and not self._warned:
            self._warned = True
            example = f"{format_user_id(min(at_both_ends))} for example"
            log.warning("%s: %s; %s", self._topic, duplicates_found(self.n_duplicated, example), remedy(self._topic))
        return bool(unordered)

    def rows_ordered(self, table: UserTable, positions: Mapping[int, int]) -> None:
        """Take note that at this end all rows were ordered but those of the table's `unordered` users."""
        self._unordered_at_last_end = set(table.unordered)
        self.since = self._last_end if table.unordered else dict(positions)
        self._last_end = dict(positions)


def duplicates_found(n_users: int, example: str = "") -> str:
    """Return '12 users (ann for example) have more than one row, of which the newest counts'."""
    named = f" ({example})" if example else ""
    have = "has" if n_users == 1 else "have"
    return f"{format_users(n_users)}{named} {have} more than one row, of which the newest counts"


def remedy(topic: str) -> str:
    """Return where duplicate rows come from and how to get rid of them."""
    return (
        "the others were never retracted, e.g. because a statement was deleted and created again, or a writer repeats"
        f" changes; to fix it: recreate {topic} and the statements that write it, then run with --rebuild"
    )
