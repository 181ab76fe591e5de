"""Hypothesis strategies: any changelog, in any partitions, read in any order, cut anywhere."""

import random
from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from tests.support.changelog import Aggregate, Change, Op, Placed, Row

STEPS = ("spend", "spend", "spend", "delete", "rewrite", "copy", "drop a copy")


class CopyingAggregate(Aggregate):
    """A table in which a row may be inserted twice for a while."""

    def __init__(self) -> None:
        super().__init__()
        self._copies: list[Row] = []

    def copy(self, user_id: str) -> None:
        """Insert the row of a user a second time."""
        if user_id in self.rows:
            self._copies.append(self.rows[user_id])
            self.changes.append(Change(Op.INSERT, self.rows[user_id]))

    def drop_a_copy(self) -> None:
        """Delete the oldest copy, whether its user exists or not."""
        if self._copies:
            self.changes.append(Change(Op.DELETE, self._copies.pop(0)))

    def settle(self) -> None:
        """Delete the copies of rows that no longer exist: one row per user is left, of some users twice."""
        for row in self._copies:
            if self.rows.get(row.user_id) != row:
                self.changes.append(Change(Op.DELETE, row))


@st.composite
def changelogs(draw: st.DrawFn, max_users: int = 6, max_steps: int = 40) -> list[Change]:
    """Inserts, updates (also to an equal row), deletes, users that return, rows inserted twice; settled at the end."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    users = [f"User_{number or ''}" for number in range(draw(st.integers(1, max_users)))]
    steps = draw(st.lists(st.tuples(st.sampled_from(users), st.sampled_from(STEPS)), max_size=max_steps))
    table = CopyingAggregate()
    for user_id, step in steps:
        _take(table, user_id, step, rng.uniform(0, 1000))
    table.settle()
    return table.changes


def _take(table: CopyingAggregate, user_id: str, step: str, amount: float) -> None:
    if step == "spend":
        table.spend(user_id, amount)
    elif step == "delete":
        table.delete(user_id)
    elif step == "rewrite":
        table.put(table.rows.get(user_id, Row(user_id, amount, 1)))
    elif step == "copy":
        table.copy(user_id)
    else:
        table.drop_a_copy()


def placements(changes: Sequence[Change], max_partitions: int = 6) -> st.SearchStrategy[list[Placed]]:
    """Each change in some partition."""

    def place(partitions: Iterable[int]) -> list[Placed]:
        return [Placed(partition, change) for partition, change in zip(partitions, changes, strict=True)]

    size = len(changes)
    spread = st.integers(1, max_partitions).flatmap(
        lambda count: st.lists(st.integers(0, count - 1), min_size=size, max_size=size)
    )
    return spread.map(place)


@st.composite
def interleavings(draw: st.DrawFn, placed: Sequence[Placed]) -> list[Placed]:
    """An order in which a consumer may read: the order within each partition is kept."""
    queues: dict[int, list[Placed]] = {}
    for record in placed:
        queues.setdefault(record.partition, []).append(record)
    rng = random.Random(draw(st.integers(0, 2**32)))
    turns = [partition for partition, queue in queues.items() for _ in queue]
    if draw(st.booleans()):  # one partition after the other is the farthest from the true order
        rng.shuffle(turns)
    return [queues[turn].pop(0) for turn in turns]


def cuts(size: int, max_cuts: int = 5) -> st.SearchStrategy[list[int]]:
    """Indices at which to cut a sequence of this size."""
    return st.lists(st.integers(0, size), max_size=max_cuts, unique=True).map(sorted)
