"""Users with more than one row, as a changelog that comes twice leaves them: which row is current, and what is said.

Rule: of several rows of a user the one is current whose record is newest, by its timestamp. A row that lies several
times is as old as the newest record that added it and was not taken back; a retraction takes back the newest before
it. Of equal timestamps the higher partition and offset count: Flink may write all changes of a user within one
millisecond, but takes back the earlier of them. So a rebuild, a fresh start and a run that nothing disturbed agree
(but where a row that lies twice is taken back once by a plain -D, which Flink's updates do not do).

Users with one row cost nothing: no timestamp is read on the way. What is read after an end of the input is newer than
what was read before it, and that orders nearly all. Only where two rows of a user came between two ends, and are both
still there at the next, is the input read again since the first of these ends, to see their records (`RowOrder`).
"""

import logging
import re
from collections.abc import Collection, Iterable, Mapping

from confluent_kafka import TopicPartition

from classifier.formatting import format_user_id, format_users
from classifier.kafka.record import Record
from classifier.row import Row
from classifier.users.offset_metadata import MARK
from classifier.users.table import UserTable

log = logging.getLogger("user_classifier")

Place = tuple[int, int, int]  # of a record: timestamp, partition, offset
# Beside each committed offset, where there is something to say: how many users have more than one row, and from where
# on the rows of a user lie as they were read.
SEVERAL, SINCE = re.compile(r" several=(\d+)"), re.compile(r" since=(\d+)")


class RowOrder:
    """The newest record of each of some rows, of those that were not taken back."""

    def __init__(self, wanted: Iterable[tuple[str, Row]]) -> None:
        self._added: dict[tuple[str, Row], list[Place]] = {each: [] for each in wanted}

    def take(self, message: Record, user_row: tuple[str, Row], sign: int) -> None:
        """Add a record; those of one row lie in one partition, in the order in which they were written."""
        if (added := self._added.get(user_row)) is None:
            return
        if sign > 0:
            added.append((message.timestamp()[1], message.partition(), message.offset()))
        elif taken_back := [place for place in added if place[1] == message.partition()]:
            added.remove(taken_back[-1])

    def in_order(self) -> dict[str, list[Row]]:
        """Return the rows whose records were seen, by user, the newest last."""
        found: dict[str, list[tuple[Place, Row]]] = {}
        for (user_id, row), places in self._added.items():
            if places:
                found.setdefault(user_id, []).append((max(places), row))
        return {user_id: [row for _, row in sorted(rows)] for user_id, rows in found.items()}


class DuplicateRows:
    """What the ends of the input say of users with more than one row."""

    def __init__(self, topic: str) -> None:
        self._topic, self._told = topic, False
        self.begin(UserTable(), {}, {})

    def begin(self, table: UserTable, start: Mapping[int, int], committed: Mapping[int, TopicPartition]) -> bool:
        """Begin to read at these offsets; return whether the rows that were restored are in order."""
        noted = {p: int(match[1]) for p, at in committed.items() if (match := SINCE.search(at.metadata or ""))}
        self.since = {**start, **noted}  # where the batch began in which rows lie as they were read, or before
        self._last_end = dict(self.since)
        self._before = set(table.duplicated)  # users with several rows at the last end
        self._unordered: set[str] = set()
        self.n_users = n_duplicated_before(committed.values()) or 0  # with several rows at two ends in a row
        return not noted

    @property
    def needs_another_end(self) -> bool:
        """Whether the next end will tell more than the last one."""
        return len(self._before) > self.n_users or bool(self._unordered)

    def input_ended(self, table: UserTable, *, last: bool) -> bool:
        """Take note of an end of the input; return whether rows are to be put in order now.

        Of one transaction, some partitions can be read a moment before others: hence two ends, but where there is no
        next one.
        """
        at_both = table.duplicated if last else table.duplicated & self._before
        unordered = table.unordered if last else table.unordered & self._unordered
        self._before, self._unordered, self.n_users = set(table.duplicated), set(table.unordered), len(at_both)
        if at_both and not self._told:
            self._told = True
            log.warning(told(self._topic, at_both, table))
        return bool(unordered)

    def ordered(self, table: UserTable, positions: Mapping[int, int]) -> None:
        """Note from where on rows lie as they were read, after an end at which those of two ends were put in order."""
        self._unordered = set(table.unordered)
        self.since = self._last_end if table.unordered else dict(positions)
        self._last_end = dict(positions)

    def note(self, partition: int, position: int) -> str:
        """Return what to keep beside a committed offset."""
        since = self.since.get(partition, position)
        several = f" several={self.n_users}" if self.n_users else ""
        return several + (f" since={since}" if since < position else "")


def told(topic: str, user_ids: Collection[str], table: UserTable) -> str:
    """Say what several rows mean and what cures it."""
    example = min(user_ids)
    return f"{topic}: {several(len(user_ids), f'{format_user_id(example)} for example')}; {cure(topic)}"


def several(n_users: int, example: str = "") -> str:
    """Say how many users have more than one row."""
    whom = f" ({example})" if example else ""
    have = "has" if n_users == 1 else "have"
    return f"{format_users(n_users)}{whom} {have} more than one row, of which the newest counts"


def cure(topic: str) -> str:
    """Say where several rows come from and what makes an end of it."""
    return (
        "the others were never taken back, as when a statement is deleted and created again, or a writer repeats"
        f" changes; to fix it: recreate {topic} and the statements that write it, then run with --rebuild"
    )


def n_duplicated_before(committed: Iterable[TopicPartition]) -> int | None:
    """Return how many users had more than one row at the last commit; None before the first."""
    marks = [each.metadata or "" for each in committed if MARK.match(each.metadata or "")]
    return max((int(match[1]) for each in marks if (match := SEVERAL.search(each))), default=0) if marks else None
