"""A load on a real broker: a reader sees all purchases of a file or none."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fastavro
import pytest

from local.own_data import load
from local.own_data.lines import FileError
from local.own_data.load import Target
from local.own_data.purchases import Purchase, Purchases, ReadOptions
from local.sql.flink_tables import value_schema
from tests.support.client import ROOT
from tests.support.pipeline import Services
from tests.support.topics import Outgoing, Record
from tests.support.waiting import wait_until
from tests.support.wire import unframe

SCHEMA = value_schema(load.table())
N_PARTITIONS = 6
ENDLESS = """
import itertools, json, signal, sys
import fastavro
from local.own_data.load import Target, load
from local.own_data.purchases import Purchase

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in background processes
servers, topic, schema_id, schema = sys.argv[1:]
into = Target(topic, 6, int(schema_id), fastavro.parse_schema(json.loads(schema)))
load(itertools.repeat(Purchase("killed", 1.0)), 1_000, servers, into)
"""


class LoadedTopic:
    """A topic of one test, as created by statement 1."""

    def __init__(self, services: Services, name: str) -> None:
        self.topics = services.topics
        self.name = name
        self.topics.create(name, N_PARTITIONS)
        self.schema_id = services.subjects.register(f"{name}-value", json.loads(SCHEMA))
        self.into = Target(name, N_PARTITIONS, self.schema_id, fastavro.parse_schema(json.loads(SCHEMA)))

    def load(self, purchases: Iterator[Purchase], n_purchases: int = 10) -> None:
        """Load purchases."""
        load.load(purchases, n_purchases, self.topics.bootstrap_servers, self.into)

    def rows(self) -> list[tuple[str, float]]:
        """The committed rows, in the order of the purchases."""
        rows = [unframe(json.loads(SCHEMA), record.value or b"") for record in self.topics.read(self.name)]
        return [(row["user_id"], row["amount"]) for row in sorted(rows, key=lambda row: row["purchase_id"])]

    def written(self) -> list[Record]:
        """All records, committed or not."""
        return self.topics.read(self.name, "read_uncommitted")

    def endless_load(self) -> "subprocess.Popen[bytes]":
        """Start a load without an end in a separate process."""
        arguments = [self.topics.bootstrap_servers, self.name, str(self.schema_id), SCHEMA]
        return subprocess.Popen([sys.executable, "-c", ENDLESS, *arguments], cwd=ROOT, stderr=subprocess.PIPE)

    def has_records(self) -> bool:
        """Whether there are records, committed or not."""
        return any(self.topics.ends(self.name).values())


@pytest.fixture
def topic(services: Services, request: pytest.FixtureRequest) -> LoadedTopic:
    """An empty topic."""
    return LoadedTopic(services, request.node.name)


def file(path: Path, *lines: str) -> Iterator[Purchase]:
    """The purchases in a file of these lines."""
    path.write_text("user,amount\n" + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return iter(Purchases(path, ReadOptions()))


def test_records_are_as_flink_writes_them(topic: LoadedTopic, tmp_path: Path) -> None:
    """No key, no header, partitions by value; each line of the file once."""
    lines = [f"user {number % 7},{number / 4}" for number in range(5_000)]
    topic.load(file(tmp_path / "purchases.csv", *lines), 5_000)
    assert topic.rows() == [(f"user {number % 7}", number / 4) for number in range(5_000)]
    records = topic.topics.read(topic.name)
    assert {(record.key, *record.headers) for record in records} == {(None,)}
    values = [record.value or b"" for record in records]
    assert [record.partition for record in records] == load.partitions(values, N_PARTITIONS)
    assert {record.partition for record in records} == set(range(N_PARTITIONS))


def test_a_bad_line_leaves_nothing(topic: LoadedTopic, tmp_path: Path) -> None:
    """However much was written before it."""
    path = tmp_path / "purchases.csv"
    with pytest.raises(FileError, match=r"line 50002, column amount: 'x' is not a number"):
        topic.load(file(path, *["ann,1"] * 50_000, "bob,x", "bob,1"))
    assert len(topic.written()) > 10_000, "or the test shows nothing"
    assert topic.rows() == []
    topic.load(file(path, "bob,1"))
    assert topic.rows() == [("bob", 1.0)]


def test_a_killed_load_leaves_nothing(topic: LoadedTopic, tmp_path: Path) -> None:
    """And the next load aborts its transaction: no reader waits for the timeout."""
    with topic.endless_load() as loader:
        wait_until(topic.has_records, "the loader to write")
        loader.kill()
    assert topic.rows() == []
    topic.load(file(tmp_path / "purchases.csv", "bob,1"))
    assert topic.rows() == [("bob", 1.0)]


def test_an_interrupted_load_aborts_its_transaction(topic: LoadedTopic) -> None:
    """A reader does not wait for the records after it."""
    with topic.endless_load() as loader:
        wait_until(topic.has_records, "the loader to write")
        loader.send_signal(signal.SIGINT)
        _, errors = loader.communicate()
    assert errors.decode().splitlines()[-1] == "KeyboardInterrupt"
    (following,) = load.encoded([Purchase("bob", 1.0)], topic.into)
    topic.topics.write(topic.name, [Outgoing(number, following[0], []) for number in range(N_PARTITIONS)])
    assert topic.rows() == [("bob", 1.0)] * N_PARTITIONS


def test_a_new_load_replaces_a_running_one(topic: LoadedTopic, tmp_path: Path) -> None:
    with topic.endless_load() as loader:
        wait_until(topic.has_records, "the loader to write")
        topic.load(file(tmp_path / "purchases.csv", "bob,1"))
        _, errors = loader.communicate()
    message = "local.own_data.load.LoadError: nothing was loaded: another load has replaced this one"
    assert errors.decode().splitlines()[-1] == message
    assert topic.rows() == [("bob", 1.0)]
