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
        """1 for a row that is added, -1 for one that is retracted."""
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
    """A change and its partition."""

    partition: int
    change: Change


class Aggregate:
    """A table with one row per user, which records each change."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.changes: list[Change] = []

    def put(self, row: Row) -> None:
        """Insert or update; an update to an equal row is recorded too, as Flink does."""
        old = self.rows.get(row.user_id)
        if old is None:
            self.changes.append(Change(Op.INSERT, row))
        else:
            self.changes += [Change(Op.UPDATE_BEFORE, old), Change(Op.UPDATE_AFTER, row)]
        self.rows[row.user_id] = row

    def spend(self, user_id: str, amount: float) -> None:
        """Add one transaction of a user to the totals."""
        old = self.rows.get(user_id, Row(user_id, 0.0, 0))
        self.put(Row(user_id, old.total_amount + amount, old.num_transactions + 1))

    def delete(self, user_id: str) -> None:
        """Delete a user, if there is one."""
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
    """The changes with other user_ids."""
    return [Change(op, row._replace(user_id=f"other {row.user_id}")) for op, row in changes]


def place_by_hash(changes: Iterable[Change], n_partitions: int) -> list[Placed]:
    """Choose partitions by a hash of the row, as Confluent does: -U and +U of a user are in different ones."""
    return [Placed(zlib.crc32(repr(tuple(change.row)).encode()) % n_partitions, change) for change in changes]


def place_at_random(changes: Iterable[Change], n_partitions: int, seed: int) -> list[Placed]:
    """Choose partitions at random: even the two records of one row may be in different ones."""
    rng = random.Random(seed)
    return [Placed(rng.randrange(n_partitions), change) for change in changes]


def cut(placed: Sequence[Placed], cuts: Iterable[int]) -> list[list[Placed]]:
    """The changelog in parts that end at the given indices."""
    ends = [0, *sorted(end for end in cuts if 0 < end < len(placed)), len(placed)]
    return [list(placed[start:end]) for start, end in pairwise(ends)]
