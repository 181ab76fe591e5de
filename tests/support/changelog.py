"""Changelogs of `transactions_aggregate` as Flink's GROUP BY writes them: a row is retracted before it is replaced."""

import random
import zlib
from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple


class Op(IntEnum):
    """The byte in the record header `op`."""

    INSERT = 0
    UPDATE_BEFORE = 1
    UPDATE_AFTER = 2
    DELETE = 3

    @property
    def sign(self) -> int:
        """1 for a row that comes, -1 for a row that goes."""
        return 1 if self in (Op.INSERT, Op.UPDATE_AFTER) else -1


class Row(NamedTuple):
    """One row of the aggregate."""

    user_id: str
    total_amount: float
    num_transactions: int


class Change(NamedTuple):
    """One record of the changelog; -U and -D carry the full old row."""

    op: Op
    row: Row


class Placed(NamedTuple):
    """A change and the partition it lies in."""

    partition: int
    change: Change


class Aggregate:
    """A table with one row per user, that writes down each change made to it."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.changes: list[Change] = []

    def put(self, row: Row) -> None:
        """Insert or update; an update to the very same row is written too, as Flink does without state compaction."""
        old = self.rows.get(row.user_id)
        if old is None:
            self.changes.append(Change(Op.INSERT, row))
        else:
            self.changes += [Change(Op.UPDATE_BEFORE, old), Change(Op.UPDATE_AFTER, row)]
        self.rows[row.user_id] = row

    def spend(self, user_id: str, amount: float) -> None:
        """One transaction of a user: its amount joins the sum."""
        old = self.rows.get(user_id, Row(user_id, 0.0, 0))
        self.put(Row(user_id, old.total_amount + amount, old.num_transactions + 1))

    def delete(self, user_id: str) -> None:
        """The user's last transaction was retracted; nothing happens to one who is not there."""
        old = self.rows.pop(user_id, None)
        if old is not None:
            self.changes.append(Change(Op.DELETE, old))


def aggregation(seed: int, n_users: int, n_transactions: int, deleted: float = 0.03) -> list[Change]:
    """A GROUP BY over random transactions of continuous amounts; a share `deleted` of the steps deletes a user."""
    rng = random.Random(seed)
    habits = {f"User_{number}": rng.choice((10.0, 100.0, 1000.0)) for number in range(n_users)}
    table = Aggregate()
    for _ in range(n_transactions):
        user_id = rng.choice(tuple(habits))
        if rng.random() < deleted:
            table.delete(user_id)
        else:
            table.spend(user_id, rng.uniform(0, habits[user_id]))
    return table.changes


def of_other_users(changes: Iterable[Change]) -> list[Change]:
    """The same changes, of users with other names."""
    return [Change(op, row._replace(user_id=f"other {row.user_id}")) for op, row in changes]


def place_by_hash(changes: Iterable[Change], n_partitions: int) -> list[Placed]:
    """By a hash of the whole row, as Confluent does: the -U and the +U of a user lie apart."""
    return [Placed(zlib.crc32(repr(tuple(change.row)).encode()) % n_partitions, change) for change in changes]


def place_at_random(changes: Iterable[Change], n_partitions: int, seed: int) -> list[Placed]:
    """Each record anywhere: even the two records of one row may lie apart."""
    rng = random.Random(seed)
    return [Placed(rng.randrange(n_partitions), change) for change in changes]


def cut(placed: Sequence[Placed], cuts: Iterable[int]) -> list[list[Placed]]:
    """The changelog in pieces that end at the given places."""
    places = [0, *sorted(place for place in cuts if 0 < place < len(placed)), len(placed)]
    return [list(placed[start:end]) for start, end in pairwise(places)]
