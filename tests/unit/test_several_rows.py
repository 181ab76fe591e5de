"""A changelog that comes twice: of several rows of a user the newest is current, however it was read."""

import random
import zlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.several_rows import Newest, several_before
from tests.support.changelog import Aggregate, Change, Op, Placed, Row
from tests.support.strategies import cuts
from tests.support.world import BASE, World, accidents, dies
from classifier.settings import Settings

USERS = ("ann", "bob", "cem", "dan")
N_PARTITIONS = 3


class Written(NamedTuple):
    """A change as it lies in the topic."""

    placed: Placed
    time: int


def placed(change: Change) -> Placed:
    """By the whole row, as Flink does: what is added and taken back lies in one partition."""
    return Placed(zlib.crc32(repr(tuple(change.row)).encode()) % N_PARTITIONS, change)


@st.composite
def changelogs(draw: st.DrawFn) -> list[Change]:
    """What a few statements in a row write, each from the first transaction on; a writer may repeat itself."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    spent = [(rng.choice(USERS), float(rng.randint(0, 3))) for _ in range(draw(st.integers(1, 12)))]
    changes: list[Change] = []
    for _ in range(draw(st.integers(1, 3))):
        statement = Aggregate()
        for user_id, amount in spent[: rng.randint(0, len(spent))]:
            statement.spend(user_id, amount)
        changes += statement.changes
        again = rng.choice([0, 0, rng.randint(0, len(statement.changes))])
        changes += statement.changes[len(statement.changes) - again :]
    return changes


def newest_rows(written: Iterable[Written]) -> dict[str, tuple[float, int]]:
    """From the definition: each row a stack of records, of which a retraction takes the newest, or is owed one."""
    stacks: dict[Row, list[tuple[int, int, int]]] = {}
    owed, lengths = Counter[Row](), [0] * N_PARTITIONS
    for (partition, (op, row)), time in written:
        stack = stacks.setdefault(row, [])
        if op.sign > 0:
            stack.append((time, partition, lengths[partition]))
        elif stack:
            stack.pop()
        else:
            owed[row] += 1
        lengths[partition] += 1
    there = sorted((stack[-1], row) for row, stack in stacks.items() if len(stack) > owed[row])
    return {row.user_id: (row.total_amount, row.num_transactions) for _, row in there}


def rows(world: World) -> dict[str, tuple[float, int]]:
    """The rows in the output."""
    return {user_id: (row.total_amount, row.num_transactions) for user_id, row in world.labelling().items()}


@settings(max_examples=200)
@given(st.data())
def test_the_newest_row_counts_in_any_batches_in_any_order_and_after_any_restart(data: st.DataObject) -> None:
    """What comes after an end of the input is later than what was there; within a piece, times may be equal."""
    changes = data.draw(changelogs())
    ends = [*data.draw(cuts(len(changes), max_cuts=3)), len(changes)]
    world, written, start, time = World(partitions=N_PARTITIONS), list[Written](), 0, 0
    for end in ends:
        time += 1
        piece = []
        for change in changes[start:end]:
            time += data.draw(st.integers(0, 1))
            piece.append(Written(placed(change), time))
        world.write([each.placed for each in piece], [each.time for each in piece])
        written, start = written + piece, end
        batch_size = data.draw(st.sampled_from([1, 3, 20, None]))
        world.settings = Settings(**{**vars(BASE), "batch_size": batch_size})
        world.run(data.draw(accidents(world)))
    world.settings = BASE
    while world.run() or world.stop.requested:
        pass
    assert rows(world) == newest_rows(written)
    world.settings = Settings(**{**vars(BASE), "batch_size": data.draw(st.sampled_from([1, 3, None])), "rebuild": True})
    world.run()
    assert rows(world) == newest_rows(written), "after a rebuild"
