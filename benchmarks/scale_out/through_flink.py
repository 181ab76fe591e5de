"""Rates of users through Flink on this machine: statements 2 and 4, the client on cells, and changed users."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from fastavro import parse_schema

from benchmarks.processes import CLIENT, ProgramFailed, measure
from benchmarks.scale_out.populations import lognormal
from classifier.cells.lattice import cells_at
from local.services.flink import FlinkCluster
from local.services.kafka import KafkaBroker
from local.services.process import Startable, free_port, start_all, stop_all
from local.services.registry import SchemaRegistry
from local.sql.catalog import Catalog
from local.sql.flink_tables import Endpoints
from local.sql.workspace import SQL_DIRECTORY, Workspace
from tests.support import configuration
from tests.support.cell_records import CELLS_VALUE
from tests.support.subjects import Subjects
from tests.support.topics import Topics
from tests.support.users import Users
from tests.support.wire import AGGREGATE_SCHEMA, unframe

CHECKPOINT_SECONDS = 5.0
MAX_SECONDS = 3_600.0
"""Time limit for a statement to process all users."""
CLIENT_SECONDS = 600.0
"""Time limit of the client."""
POLL_SECONDS = 0.5
CHECK_SECONDS = 2.0
"""How long records are read until the condition is checked again."""
CHUNK = 10_000
CHANGED_SHARE = 0.01
PARSED_COUNTS = parse_schema(CELLS_VALUE)
Log = Callable[[str], object]


@dataclass(frozen=True)
class ThroughFlink:
    """The results; rates are per second on the one core of a job with parallelism 1, including commits."""

    n_users: int
    written_per_second: float
    counted_per_second: float
    client_seconds: float
    client_peak_mib: float
    n_labels: int
    labelled_per_second: float
    changed_seconds: float
    """From the first record of 1 % changed users until all of them are labelled."""
    wrong_counts: int


@contextmanager
def deployment(directory: Path) -> Iterator[tuple[Workspace, Topics, Users, Path]]:
    """Run a broker, a registry and Flink with state on disk; create the tables before those of sql/scale_out."""
    broker = KafkaBroker(directory / "kafka", free_port())
    registry = SchemaRegistry(directory / "registry", free_port())
    flink = FlinkCluster(directory / "flink", free_port(), CHECKPOINT_SECONDS, large_state=True)
    services: list[Startable] = [broker, registry, flink]
    try:
        start_all(services)
        endpoints = Endpoints(broker.bootstrap_servers, registry.url)
        workspace = Workspace(flink.urls, endpoints, Catalog(directory), lambda text: None)
        for name in ("3_create_transactions_aggregate", "5_create_user_labeling"):
            workspace.run_file(SQL_DIRECTORY / f"{name}.sql")
        schema_id = Subjects(registry.url).register("transactions_aggregate-value", AGGREGATE_SCHEMA)
        users = Users(broker.bootstrap_servers, "transactions_aggregate", schema_id)
        content = configuration.sections(broker.bootstrap_servers, registry.url)
        yield workspace, Topics(broker.bootstrap_servers), users, configuration.write(directory / "b.ini", content)
    finally:
        stop_all(services)


def through_flink(n_users: int, log: Log) -> ThroughFlink:
    """Measure one part after the other, so that each has the whole machine."""
    with (
        tempfile.TemporaryDirectory(prefix="user_classifier_scale_out_") as temporary,
        deployment(Path(temporary)) as (workspace, topics, users, file),
    ):
        return Measurement(workspace, topics, users, file, log).run(n_users)


@dataclass
class Measurement:
    """The parts of the measurement, in order."""

    workspace: Workspace
    topics: Topics
    users: Users
    file: Path
    log: Log

    def run(self, n_users: int) -> ThroughFlink:
        """Write users, count them by cell, fit, label them, change some."""
        rng = np.random.default_rng(5)
        written = self._rate("written", n_users, lambda: self.users.add(lognormal(rng, n_users)))
        cells = self._follow("user_cells", "1_create_user_cells", "2_insert_user_cells")
        counted = self._rate("counted", n_users, lambda: cells.until(lambda: sum(cells.numbers()) == n_users))
        wrong = wrong_counts(cells, self.users)
        self._run("3_create_user_cell_labels")
        command: list[str | Path] = [sys.executable, CLIENT, self.file, "--cells", "--until-end"]
        usage = measure(command, self.file.with_name("client.log"), CLIENT_SECONDS)
        rows = self._follow("user_labeling", "4_insert_user_labeling")
        labelled = self._rate("labelled", n_users, lambda: rows.until(lambda: len(rows.last) == n_users))
        changed = self._change(rng, rows)
        return ThroughFlink(
            n_users=n_users,
            written_per_second=written,
            counted_per_second=counted,
            client_seconds=usage.seconds,
            client_peak_mib=usage.peak_mib,
            n_labels=len(self.topics.read("user_cell_labels")),
            labelled_per_second=labelled,
            changed_seconds=changed,
            wrong_counts=wrong,
        )

    def _change(self, rng: np.random.Generator, rows: Follower) -> float:
        """Change users; return the seconds until all of them have a new row in the output."""
        changed = rng.choice(len(self.users.totals), int(CHANGED_SHARE * len(self.users.totals)), replace=False)
        before = {key: rows.last[key] for key in (b"user_%d" % number for number in changed.tolist())}
        began = time.monotonic()
        self.users.change(changed, self.users.totals[changed] + 2.0)
        rows.until(lambda: all(rows.last[key] not in (None, value) for key, value in before.items()))
        return time.monotonic() - began

    def _follow(self, topic: str, *statements: str) -> Follower:
        self._run(*statements)
        return Follower(self.topics, topic)

    def _run(self, *statements: str) -> None:
        for name in statements:
            self.workspace.run_file(SQL_DIRECTORY / "scale_out" / f"{name}.sql")

    def _rate(self, what: str, n_users: int, action: Callable[[], object]) -> float:
        began = time.monotonic()
        action()
        rate = n_users / (time.monotonic() - began)
        self.log(f"{what}: {rate:,.0f} users per second")
        return rate


class Follower:
    """The last committed value of each key of a topic."""

    def __init__(self, topics: Topics, topic: str) -> None:
        self.last: dict[bytes | None, bytes | None] = {}
        self._topic = topic
        settings = {"group.id": "follower", "isolation.level": "read_committed", "enable.auto.commit": False}
        self._consumer = Consumer({"bootstrap.servers": topics.bootstrap_servers, **settings})
        self._consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in topics.partitions(topic)])

    def until(self, reached: Callable[[], bool]) -> None:
        """Read until the condition is true; ProgramFailed after MAX_SECONDS."""
        deadline = time.monotonic() + MAX_SECONDS
        while not reached():
            if time.monotonic() > deadline:
                raise ProgramFailed(f"{self._topic} is not complete after {MAX_SECONDS:.0f} s")
            began = time.monotonic()
            while messages := self._consumer.consume(CHUNK, POLL_SECONDS):
                self.last.update({message.key(): message.value() for message in messages})
                if time.monotonic() - began > CHECK_SECONDS:
                    break

    def numbers(self) -> list[int]:
        """Return the number of users in each cell."""
        return [unframe(PARSED_COUNTS, value)["num_users"] for value in self.last.values() if value]


def wrong_counts(cells: Follower, users: Users) -> int:
    """Return the number of cells whose number of users differs from the one that numpy counts."""
    occupied, counts = np.unique(cells_at(users.totals), return_counts=True)
    expected = dict(zip(occupied.tolist(), counts.tolist(), strict=True))
    rows = [unframe(PARSED_COUNTS, value) for value in cells.last.values() if value]
    found = {row["cell"]: row["num_users"] for row in rows}
    return sum(found.get(cell) != expected.get(cell) for cell in found.keys() | expected.keys())
