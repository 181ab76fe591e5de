"""A load on a real broker: all of a file can be read, or nothing of it, whatever happens in between."""

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

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts in the background ignore it
servers, topic, schema_id, schema = sys.argv[1:]
into = Target(topic, 6, int(schema_id), fastavro.parse_schema(json.loads(schema)))
load(itertools.repeat(Purchase("killed", 1.0)), 1_000, servers, into)
"""


class Place:
    """A topic of one test, as statement 1 makes it."""

    def __init__(self, services: Services, name: str) -> None:
        self.topics, self.name = services.topics, name
        self.topics.create(name, N_PARTITIONS)
        self.schema_id = services.subjects.register(f"{name}-value", json.loads(SCHEMA))
        self.into = Target(name, N_PARTITIONS, self.schema_id, fastavro.parse_schema(json.loads(SCHEMA)))

    def load(self, purchases: Iterator[Purchase], n_purchases: int = 10) -> None:
        """Load."""
        load.load(purchases, n_purchases, self.topics.bootstrap_servers, self.into)

    def rows(self) -> list[tuple[str, float]]:
        """What a read_committed reader sees, in the order of the purchases."""
        rows = [unframe(json.loads(SCHEMA), record.value or b"") for record in self.topics.read(self.name)]
        return [(row["user_id"], row["amount"]) for row in sorted(rows, key=lambda row: row["purchase_id"])]

    def written(self) -> list[Record]:
        """What was written, readable or not."""
        return self.topics.read(self.name, "read_uncommitted")

    def endless_load(self) -> "subprocess.Popen[bytes]":
        """A load that does not come to its end, in a process of its own."""
        arguments = [self.topics.bootstrap_servers, self.name, str(self.schema_id), SCHEMA]
        return subprocess.Popen([sys.executable, "-c", ENDLESS, *arguments], cwd=ROOT, stderr=subprocess.PIPE)

    def has_records(self) -> bool:
        """Whether anything has been written."""
        return any(self.topics.ends(self.name).values())


@pytest.fixture
def place(services: Services, request: pytest.FixtureRequest) -> Place:
    """A topic with nothing in it."""
    return Place(services, request.node.name)


def file(path: Path, *lines: str) -> Iterator[Purchase]:
    """The purchases in a file of these lines."""
    path.write_text("user,amount\n" + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return iter(Purchases(path, ReadOptions()))


def test_records_are_as_flink_writes_them(place: Place, tmp_path: Path) -> None:
    """No key, no header, spread by their values; every line of the file once."""
    lines = [f"user {number % 7},{number / 4}" for number in range(5_000)]
    place.load(file(tmp_path / "purchases.csv", *lines), 5_000)
    assert place.rows() == [(f"user {number % 7}", number / 4) for number in range(5_000)]
    records = place.topics.read(place.name)
    assert {(record.key, *record.headers) for record in records} == {(None,)}
    values = [record.value or b"" for record in records]
    assert [record.partition for record in records] == load.partitions(values, N_PARTITIONS)
    assert {record.partition for record in records} == set(range(N_PARTITIONS))


def test_a_bad_line_leaves_nothing(place: Place, tmp_path: Path) -> None:
    """However much was written before it; what is loaded next is alone."""
    path = tmp_path / "purchases.csv"
    with pytest.raises(FileError, match=r"line 50002, column amount: 'x' is not a number"):
        place.load(file(path, *["ann,1"] * 50_000, "bob,x", "bob,1"))
    assert len(place.written()) > 10_000, "or the test shows nothing"
    assert place.rows() == []
    place.load(file(path, "bob,1"))
    assert place.rows() == [("bob", 1.0)]


def test_a_killed_load_leaves_nothing(place: Place, tmp_path: Path) -> None:
    """And the next load ends its transaction at once: no reader waits for the time-out."""
    with place.endless_load() as loader:
        wait_until(place.has_records, "the loader to write")
        loader.kill()
    assert place.rows() == []
    place.load(file(tmp_path / "purchases.csv", "bob,1"))
    assert place.rows() == [("bob", 1.0)]


def test_an_interrupted_load_ends_its_transaction(place: Place) -> None:
    """A reader need not wait for what is written behind it."""
    with place.endless_load() as loader:
        wait_until(place.has_records, "the loader to write")
        loader.send_signal(signal.SIGINT)
        _, said = loader.communicate()
    assert said.decode().splitlines()[-1] == "KeyboardInterrupt"
    (behind,) = load.encoded([Purchase("bob", 1.0)], place.into)
    place.topics.write(place.name, [Outgoing(number, behind[0], []) for number in range(N_PARTITIONS)])
    assert place.rows() == [("bob", 1.0)] * N_PARTITIONS


def test_another_load_takes_the_place_of_one_under_way(place: Place, tmp_path: Path) -> None:
    with place.endless_load() as loader:
        wait_until(place.has_records, "the loader to write")
        place.load(file(tmp_path / "purchases.csv", "bob,1"))
        _, said = loader.communicate()
    told = "local.own_data.load.LoadError: nothing was loaded: another load has replaced this one"
    assert said.decode().splitlines()[-1] == told
    assert place.rows() == [("bob", 1.0)]
