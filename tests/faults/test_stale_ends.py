"""An end of a partition that was reached before something else was written is not the end of a run.

In each test one broker answers no Fetch until the other one's partitions have been read to their end. Then a
transaction writes to both brokers, the other broker hangs, and the first one answers again.
"""

import csv
import random
import time
from pathlib import Path

import pytest

from tests.faults.broker_faults import DISK_HANGS, HANGS, BrokerFault, fetches_of
from tests.faults.committed_records import wait_for_labels, wrong_labels, wrong_records
from tests.faults.two_brokers import TwoBrokers
from tests.faults.users_input import UsersInput
from tests.support import cell_oracle, inside
from tests.support.cell_topics import Cells, random_totals
from tests.support.client import Client
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

PARTITIONS = 6
FETCHES = 5
"""Answers after which a partition without news has been read to its end."""
HANG_S = 4.0


def hold_steady(two_brokers: TwoBrokers, pipeline: Pipeline, topic: str) -> None:
    """Have the steady broker send no record of a topic."""
    fetches = fetches_of(topic, pipeline.topics.topic_id(topic))
    two_brokers.steady.begin(BrokerFault(f"sends nothing of {topic}", holds=fetches))


def wait_for_stale_end(two_brokers: TwoBrokers, client: Client) -> None:
    """Wait until the client has read all that the struck broker has."""
    before = two_brokers.struck.n_fetches_answered
    wait_until(
        lambda: two_brokers.struck.n_fetches_answered >= before + FETCHES or not client.running,
        "the client to read from the struck broker",
    )
    assert client.running, client.output


def hang_instead(two_brokers: TwoBrokers, fault: BrokerFault) -> None:
    """Have the steady broker answer, and the other one hang for a while."""
    two_brokers.steady.lift()
    time.sleep(HANG_S)
    two_brokers.struck.lift()


def with_held_labels(two_brokers: TwoBrokers, directory: Path, name: str) -> tuple[Pipeline, Pipeline, UsersInput]:
    """Label users in an output on both brokers, and have the steady one send none of the labels.

    Returns the pipeline, the same behind relays, and the input, which has changes that are not labelled yet.
    """
    pipeline = two_brokers.pipeline(directory, name, PARTITIONS)
    pipeline.output = f"{pipeline.output}_of_two"
    pipeline.topics.create(pipeline.output, 2, {"cleanup.policy": "compact"})
    source = UsersInput(pipeline)
    source.spend()
    inside.run_to_end(pipeline.arguments())
    source.spend()
    hold_steady(two_brokers, pipeline, pipeline.output)
    return pipeline, two_brokers.behind_relays(pipeline), source


@pytest.mark.parametrize("fault", [HANGS, DISK_HANGS], ids=str)
def test_until_end(two_brokers: TwoBrokers, tmp_path: Path, fault: BrokerFault) -> None:
    """A rebuild would delete the users whose newest rows were written last."""
    pipeline = two_brokers.pipeline(tmp_path, "until_end", PARTITIONS)
    relayed = two_brokers.behind_relays(pipeline)
    source = UsersInput(pipeline)
    source.spend()
    inside.run_to_end(pipeline.arguments())
    source.spend()
    hold_steady(two_brokers, pipeline, pipeline.source)
    with Client(relayed.arguments("--until-end", "--rebuild"), tmp_path / "client.log") as client:
        client.wait_for_output("users restored")
        wait_for_stale_end(two_brokers, client)
        two_brokers.struck.begin(fault)
        source.spend()
        hang_instead(two_brokers, fault)
        assert client.wait() == 0, client.output
    assert wrong_records(pipeline, source.changes) == []
    assert wrong_labels(pipeline, source.changes) == []


@pytest.mark.parametrize("fault", [HANGS, DISK_HANGS], ids=str)
def test_export(two_brokers: TwoBrokers, tmp_path: Path, fault: BrokerFault) -> None:
    """A transaction of labels that came while the export was reading is in the file as a whole."""
    pipeline, relayed, _ = with_held_labels(two_brokers, tmp_path, "export")
    file = tmp_path / "labels.csv"
    with Client(relayed.arguments("--export", str(file)), tmp_path / "client.log") as client:
        wait_for_stale_end(two_brokers, client)
        two_brokers.struck.begin(fault)
        inside.run_to_end(pipeline.arguments())
        hang_instead(two_brokers, fault)
        assert client.wait() == 0, client.output
    with file.open(newline="", encoding="utf-8") as lines:
        exported = {each["user_id"]: each for each in csv.DictReader(lines)}
    expected = pipeline.labelling()
    stale = [user for user, row in expected.items() if float(exported[user]["total_amount"]) != row.total_amount]
    assert stale == [], f"{len(stale)} of {len(expected)} users are old"
    assert exported.keys() == expected.keys()


@pytest.mark.parametrize("fault", [HANGS, DISK_HANGS], ids=str)
def test_cells(two_brokers: TwoBrokers, tmp_path: Path, fault: BrokerFault) -> None:
    pipeline = two_brokers.pipeline(tmp_path, "cells", PARTITIONS)
    cells = Cells(two_brokers.behind_relays(pipeline), PARTITIONS)
    cells.topics.delete(cells.output)
    cells.topics.create(cells.output, 1, {"cleanup.policy": "compact"})  # on the steady broker
    cells.write(cell_oracle.counted(random_totals(random.Random(1), 3_000)))
    hold_steady(two_brokers, pipeline, cells.input)
    with Client(cells.arguments("--until-end"), tmp_path / "client.log") as client:
        client.wait_for_output("labels of 0 cells restored")
        wait_for_stale_end(two_brokers, client)
        two_brokers.struck.begin(fault)
        cells.write(moved(cells.counts))
        hang_instead(two_brokers, fault)
        assert client.wait() == 0, client.output
    cells.assert_labels_are_those_of_one_fit()


def moved(counts: dict[int, int]) -> dict[int, int]:
    """All users of the cells on the steady broker move to a cell of larger totals on the struck one."""
    left = {cell: 0 for cell in counts if (cell % PARTITIONS) % 2 == 0}
    target = next(cell for cell in range(cell_oracle.cell_of(9.0, 9), 10**9) if (cell % PARTITIONS) % 2)
    return {**left, target: sum(counts[cell] for cell in left)}


@pytest.mark.parametrize("fault", [HANGS, DISK_HANGS], ids=str)
def test_restore(two_brokers: TwoBrokers, tmp_path: Path, fault: BrokerFault) -> None:
    """The output is read while a broker hangs that leads one of its partitions, and half of the input."""
    pipeline, relayed, source = with_held_labels(two_brokers, tmp_path, "restore")
    with Client(relayed.arguments("--batch-interval", "0.2"), tmp_path / "client.log") as client:
        wait_for_stale_end(two_brokers, client)
        two_brokers.struck.begin(fault)
        source.spend()
        hang_instead(two_brokers, fault)
        wait_for_labels(client, pipeline, source.changes)
        assert client.stop() == 0, client.output
    assert wrong_records(pipeline, source.changes) == []
