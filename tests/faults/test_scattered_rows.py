"""The rows of a user in several partitions: the one written last counts, whatever is read last, also after restarts."""

import random
import time

import pytest

from tests.conftest import MakePipeline
from tests.support import inside, oracle
from tests.support.changelog import Row
from tests.support.oracle import Table
from tests.support.pipeline import Pipeline
from tests.support.topics import Outgoing
from tests.support.wire import AGGREGATE_SCHEMA, body, frame

N_USERS = 60
ROUNDS = 4
PAUSE_S = 0.005
"""Between two rows of a user: timestamps are milliseconds."""


class Scattered:
    """Writes rows of users, the last one of each to a partition that changes."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.table: Table = {}
        self._rng = random.Random(1)

    def write(self, n_partitions: int, *, keyed: bool) -> None:
        """Write a new row of each user to any of the first `n_partitions`."""
        time.sleep(PAUSE_S)
        records = []
        for number in range(N_USERS):
            row = Row(f"user {number}", float(self._rng.randint(1, 3) * 1000 + number), self._rng.randint(1, 9))
            value = frame(self.pipeline.schema_id, body(AGGREGATE_SCHEMA, row._asdict()))
            key = row.user_id.encode() if keyed else None
            records.append(Outgoing(self._rng.randrange(n_partitions), value, [], key))
            self.table[row.user_id] = row.total_amount, row.num_transactions
        self.pipeline.topics.write(self.pipeline.source, records)

    def assert_labelled(self) -> None:
        """The output has the last row of each user, and the labels of a fit on them."""
        rows = self.pipeline.labelling().values()
        assert {row.user_id: (row.total_amount, row.num_transactions) for row in rows} == self.table
        assert {row.user_id: row.label for row in rows} == oracle.labels(self.table, 3)


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_rows_in_any_partition(mode: str, make_pipeline: MakePipeline) -> None:
    """A first start on all of them, a restart, a rebuild."""
    pipeline = make_pipeline(partitions=4)
    scattered = Scattered(pipeline)
    arguments = pipeline.arguments("--changelog-mode", mode)
    for _ in range(ROUNDS):
        scattered.write(4, keyed=mode == "upsert")
    inside.run_to_end(arguments)
    scattered.assert_labelled()
    for _ in range(2):
        scattered.write(4, keyed=mode == "upsert")
        inside.run_to_end(arguments)
        scattered.assert_labelled()
    inside.run_to_end([*arguments, "--rebuild"])
    scattered.assert_labelled()


def test_partitions_added_to_a_keyed_input(make_pipeline: MakePipeline) -> None:
    """The newer row of many users lies in a partition that a fresh start reads first."""
    pipeline = make_pipeline(partitions=1)
    scattered = Scattered(pipeline)
    arguments = pipeline.arguments("--changelog-mode", "upsert")
    scattered.write(1, keyed=True)
    inside.run_to_end(arguments)
    pipeline.topics.grow(pipeline.source, 4)
    for _ in range(ROUNDS):
        scattered.write(4, keyed=True)
    inside.run_to_end(arguments)
    scattered.assert_labelled()
    inside.run_to_end([*arguments, "--rebuild"])
    scattered.assert_labelled()


def test_a_deletion_is_newer_than_a_row_in_another_partition(make_pipeline: MakePipeline) -> None:
    """The row is read after the tombstone that was written later."""
    pipeline = make_pipeline(partitions=2)
    scattered = Scattered(pipeline)
    scattered.write(1, keyed=True)
    time.sleep(PAUSE_S)
    pipeline.topics.write(pipeline.source, [Outgoing(1, None, [], b"user 7")])
    del scattered.table["user 7"]
    arguments = pipeline.arguments("--changelog-mode", "upsert")
    for more in ([], [], ["--rebuild"]):
        inside.run_to_end([*arguments, *more])
        scattered.assert_labelled()
