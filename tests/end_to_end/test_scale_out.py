"""sql/scale_out on real Flink, with the client on cells: 50,000 users get their cells' labels, also after faults."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from fastavro import parse_schema
from numpy.typing import NDArray

from local.services.flink import FlinkCluster, TaskManager
from local.services.kafka import KafkaBroker
from local.services.process import free_port, start_all, stop_all
from local.services.registry import SchemaRegistry
from local.sql.catalog import Catalog
from local.sql.flink_tables import Endpoints
from local.sql.jobs import Jobs
from local.sql.workspace import SQL_DIRECTORY, Workspace
from tests.support import cell_oracle, client, configuration
from tests.support.cell_records import CELLS_KEY, CELLS_VALUE, label_of
from tests.support.client import Client
from tests.support.subjects import Subjects
from tests.support.topics import Outgoing, Topics
from tests.support.users import Users
from tests.support.waiting import wait_until
from tests.support.wire import AGGREGATE_SCHEMA, schema_id_of, unframe

N_USERS = 50_000
N_AT_BORDERS = 3_000
JOB_MANAGER = 0
TASK_MANAGER = 1
"""Indexes of the processes of Flink."""
BATCH_SIZE = 50_000
"""Labels per write."""
BORDER_DISTANCE = 1e-12
"""Relative distance of users from a border of cells, a little more than the logarithms of two libraries differ."""


class Deployment(NamedTuple):
    """Topics, users, Flink with the statements, and the client's configuration file."""

    topics: Topics
    subjects: Subjects
    users: Users
    flink: FlinkCluster
    file: Path

    def arguments(self, *more: str) -> list[str | Path]:
        """Return the arguments of the client."""
        return [self.file, "--cells", *more]

    def label(self, *more: str) -> str:
        """Run the client to the end of its input and return its output."""
        done = client.run(self.arguments("--until-end", *more), timeout_s=180)
        assert done.code == 0, done.output
        return done.output

    def counts(self) -> dict[int, int]:
        """Return the newest counts in user_cells."""
        found = self.topics.compacted("user_cells")
        held = [(key, record.value) for key, record in found.items() if key and record.value]
        cells = [unframe(CELLS_KEY, key)["cell"] for key, _ in held]
        return dict(zip(cells, (unframe(CELLS_VALUE, value)["num_users"] for _, value in held), strict=True))

    def labels(self) -> dict[int, int]:
        """Return the newest labels in user_cell_labels."""
        records = self.topics.read("user_cell_labels")
        return dict(label_of(record.key or b"", record.value or b"") for record in records)

    def labelling(self) -> dict[str, tuple[float, int, int]]:
        """Return the newest rows in user_labeling by user; keys are raw."""
        found = self.topics.compacted("user_labeling")
        values = {key: record.value for key, record in found.items() if key and record.value}
        schemas = {
            number: parse_schema(self.subjects.schema(number)) for number in set(map(schema_id_of, values.values()))
        }
        parsed = {key: unframe(schemas[schema_id_of(value)], value) for key, value in values.items()}
        rows = {key.decode(): (*fields.values(),) for key, fields in parsed.items()}
        assert all(row[0] == user_id for user_id, row in rows.items())
        return {user_id: row[1:] for user_id, row in rows.items()}

    def expected(self) -> dict[str, tuple[float, int, int]]:
        """Return the totals of each user and the label of their cell."""
        labels = self.labels()
        return {user_id: (*row, labels[cell_oracle.cell_of(*row)]) for user_id, row in self.users.rows().items()}

    def n_records(self) -> int:
        """Return the number of records in user_labeling, tombstones included."""
        return len(self.topics.read("user_labeling"))

    def wait_until_counted(self) -> None:
        """Wait until Flink has the same counts as Python."""
        expected = cell_oracle.counted(self.users.rows().values())
        wait_until(lambda: self.counts() == expected, "the counts of cells")

    def wait_until_labelled(self) -> None:
        """Wait until every user has the label of the cell."""
        expected = self.expected()
        wait_until(lambda: self.labelling() == expected, "every user to have the label of the cell")


def first_totals(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return totals of all sizes, some of them next to the borders of cells."""
    amounts = np.round(rng.lognormal(0.5, 0.8, N_USERS), 2)
    numbers = rng.poisson(rng.lognormal(0.5, 0.6, N_USERS)).astype(np.float64)
    borders = np.expm1(rng.integers(1, 900, N_AT_BORDERS) / cell_oracle.AMOUNT_BINS)
    amounts[:N_AT_BORDERS] = borders * (1 + BORDER_DISTANCE * rng.choice((-1, 1), N_AT_BORDERS))
    amounts[N_AT_BORDERS : N_AT_BORDERS + 5] = 0, -3.5, -0.0, 60, 5e-324
    return np.column_stack((amounts, numbers))


@pytest.fixture(scope="module")
def deployment(flink: FlinkCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Statements 3 and 5, those of sql/scale_out, and users in transactions_aggregate."""
    directory = tmp_path_factory.mktemp("scale_out")
    broker = KafkaBroker(directory / "kafka", free_port())
    registry = SchemaRegistry(directory / "registry", free_port())
    try:
        start_all([broker, registry])
        topics = Topics(broker.bootstrap_servers)
        subjects = Subjects(registry.url)
        endpoints = Endpoints(broker.bootstrap_servers, registry.url)
        workspace = Workspace(flink.urls, endpoints, Catalog(directory), lambda text: None)
        for pattern in ("3_*.sql", "5_*.sql", "scale_out/*.sql"):
            for path in sorted(SQL_DIRECTORY.glob(pattern)):
                workspace.run_file(path)
        schema_id = subjects.register("transactions_aggregate-value", AGGREGATE_SCHEMA)
        users = Users(broker.bootstrap_servers, "transactions_aggregate", schema_id)
        users.add(first_totals(np.random.default_rng(1)))
        content = configuration.sections(broker.bootstrap_servers, registry.url)
        yield Deployment(topics, subjects, users, flink, configuration.write(directory / "test.ini", content))
    finally:
        Jobs(flink.urls.rest).cancel_all()
        stop_all([broker, registry])


def spend(deployment: Deployment, seed: int, n_users: int, max_amount: float = 2.0) -> None:
    """Increase the totals of some users."""
    rng = np.random.default_rng(seed)
    who = rng.choice(N_USERS, n_users, replace=False)
    more: NDArray[np.float64] = np.column_stack(
        (np.round(rng.uniform(0, max_amount, n_users), 2), rng.integers(1, 4, n_users).astype(np.float64))
    )
    before: NDArray[np.float64] = np.maximum(deployment.users.totals[who], 0.0)
    deployment.users.change(who, before + more)


def test_all_users_have_the_labels_of_their_cells(deployment: Deployment) -> None:
    """The tests of this file build on each other, in this order."""
    deployment.wait_until_counted()
    deployment.label()
    deployment.wait_until_labelled()
    assert set(deployment.labels().values()) == {0, 1, 2}
    # Each user is written once, with a label.
    assert deployment.n_records() == N_USERS


def test_users_who_spend_are_labelled_immediately(deployment: Deployment) -> None:
    """Even before the client runs: their new cells were empty, but had a label."""
    spend(deployment, seed=2, n_users=5_000)
    deployment.wait_until_labelled()
    deployment.wait_until_counted()
    deployment.label()
    deployment.wait_until_labelled()


def test_only_users_of_cells_with_a_new_label_are_written_again(deployment: Deployment) -> None:
    before = deployment.labelling()
    n_before = deployment.n_records()
    deployment.label("-k", "4")
    deployment.wait_until_labelled()
    now = deployment.labelling()
    n_changed = sum(now[user_id] != row for user_id, row in before.items())
    assert 0 < n_changed < N_USERS
    assert n_changed <= deployment.n_records() - n_before <= 2 * n_changed, "at most a tombstone and a row each"
    deployment.label("-k", "3")
    deployment.wait_until_labelled()
    assert deployment.labelling() == before


def test_repeated_labels_change_nothing(deployment: Deployment) -> None:
    """After them, each partition has a label that the client has not written: once it is used, the others were read."""
    records = deployment.topics.compacted("user_cell_labels").values()
    counts = deployment.counts()
    n_before = deployment.n_records()
    marked: dict[int, int] = {}
    for record in records:
        cell, _ = label_of(record.key or b"", record.value or b"")
        if 0 < counts.get(cell, 0) < 3:
            marked[record.partition] = cell
    cells = [label_of(record.key or b"", record.value or b"")[0] for record in records]
    other = {cell: record for cell, record in zip(cells, records, strict=True) if cell in marked.values()}
    assert sorted(marked) == list(range(6))
    again = [Outgoing(each.partition, each.value, list(each.headers), each.key) for each in records]
    # The last byte of a value is its label, twice the number.
    changed = [
        Outgoing(each.partition, (each.value or b"")[:-1] + b"\x0e", list(each.headers), each.key)
        for each in other.values()
    ]
    for start in range(0, len(again), BATCH_SIZE):
        deployment.topics.write("user_cell_labels", again[start : start + BATCH_SIZE])
    deployment.topics.write("user_cell_labels", changed)
    deployment.wait_until_labelled()
    n_marked = sum(counts[cell] for cell in marked.values())
    assert Counter(row[2] for row in deployment.labelling().values())[7] == n_marked
    assert n_marked <= deployment.n_records() - n_before <= 2 * n_marked
    output = deployment.label()
    assert f", {N_USERS} users, {len(marked)} changes, " in output, "the client corrects labels that it did not write"
    deployment.wait_until_labelled()


def test_a_killed_task_manager(deployment: Deployment) -> None:
    """A second one resumes its jobs from the last checkpoint; counts and rows are exact.

    The second one is registered before the kill: without slots, a job fails after three restarts, in a few seconds.
    """
    spend(deployment, seed=3, n_users=2_000)
    flink = deployment.flink
    job_manager = flink.processes[JOB_MANAGER]
    task_manager = flink.processes[TASK_MANAGER]
    second = TaskManager(flink.directory, task_manager.url, ends_with_parent=True)
    flink.processes.append(second)
    second.launch()
    wait_until(lambda: job_manager.get("/overview").get("taskmanagers") == 2, "the second TaskManager")
    task_manager.kill()
    spend(deployment, seed=4, n_users=2_000)
    deployment.wait_until_counted()
    deployment.label()
    deployment.wait_until_labelled()


def test_a_killed_client(deployment: Deployment, tmp_path: Path) -> None:
    """SIGKILL while it writes the labels of four clusters; the next run labels by three clusters again."""
    before = sum(deployment.topics.ends("user_cell_labels").values())
    with Client(deployment.arguments("-k", "4", "--batch-interval", "0"), tmp_path / "client.log") as running:
        wait_until(
            lambda: sum(deployment.topics.ends("user_cell_labels").values()) > before or not running.running,
            "the client to write",
        )
    spend(deployment, seed=5, n_users=500)
    deployment.wait_until_counted()
    deployment.label()
    deployment.wait_until_labelled()
