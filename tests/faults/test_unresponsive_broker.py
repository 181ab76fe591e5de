"""One of two brokers is slow or silent while both are written to: no user is deleted who was not deleted.

A transaction of the input retracts old rows on one broker and adds the new ones on the other. As long as the other
broker has not confirmed that nothing follows, a user without a row is no deleted user.
"""

import re
import time
from pathlib import Path

import pytest
import requests

from local.services.process import free_port
from tests.faults.broker_faults import (
    ANSWERS_AFTER_3_S,
    ANSWERS_AFTER_10_S,
    DISK_HANGS,
    HANGS,
    NO_FETCH,
    NO_LIST_OFFSETS,
    RESETS,
    RESETS_FETCH,
    BrokerFault,
)
from tests.faults.committed_records import wait_for_labels, wrong_records
from tests.faults.stack import Stack
from tests.faults.two_brokers import TwoBrokers
from tests.faults.unresponsive_broker import disturb_brokers
from tests.faults.users_input import UsersInput
from tests.support.client import Client
from tests.support.waiting import wait_until

PARTITIONS = 6
ROUNDS = 3
ROUND_S = 1.0
"""Seconds between two transactions of the input, in which a client without care takes two ends of the input."""
NAMED_S = 60.0
"""How long a client may take to notice that a partition does not move."""
BEHIND = re.compile(r"^user_classifier_behind_records (\S+)$", re.MULTILINE)


# Seconds that a fault lasts. One call of the client may take 5 s.
FAULTS = {HANGS: 7.0, DISK_HANGS: 7.0, ANSWERS_AFTER_3_S: 8.0, ANSWERS_AFTER_10_S: 12.0}
FAULTS |= {RESETS: 5.0, RESETS_FETCH: 5.0, NO_FETCH: 7.0, NO_LIST_OFFSETS: 7.0}


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_no_user_is_deleted(two_brokers: TwoBrokers, tmp_path: Path, fault: BrokerFault) -> None:
    pipeline = two_brokers.pipeline(tmp_path, "unresponsive", PARTITIONS)
    relayed = two_brokers.behind_relays(pipeline)
    source = UsersInput(pipeline)
    source.spend()
    with Client(relayed.arguments("--batch-interval", "0.2"), tmp_path / "client.log") as client:
        wait_for_labels(client, pipeline, source.changes)
        with two_brokers.struck.with_fault(fault):
            began = time.monotonic()
            for number in range(ROUNDS):
                source.spend(deleted="User_7" if number == 1 else None)
                time.sleep(ROUND_S)
            time.sleep(max(0.0, began + FAULTS[fault] - time.monotonic()))
        wait_for_labels(client, pipeline, source.changes)
        assert client.stop() == 0, client.output
    assert wrong_records(pipeline, source.changes) == []
    assert "more than one row" not in client.output


def test_a_restart_while_a_broker_hangs(two_brokers: TwoBrokers, tmp_path: Path) -> None:
    pipeline = two_brokers.pipeline(tmp_path, "restarted", PARTITIONS)
    relayed = two_brokers.behind_relays(pipeline)
    source = UsersInput(pipeline)
    source.spend()
    with Client(relayed.arguments("--batch-interval", "0.2"), tmp_path / "first.log") as client:
        wait_for_labels(client, pipeline, source.changes)
        assert client.stop() == 0, client.output
    source.spend()
    with Client(relayed.arguments("--batch-interval", "0.2"), tmp_path / "second.log") as client:
        with two_brokers.struck.with_fault(HANGS):
            time.sleep(5.0)
            source.spend()
            time.sleep(2.0)
        wait_for_labels(client, pipeline, source.changes)
        assert client.stop() == 0, client.output
    assert wrong_records(pipeline, source.changes) == []


def test_what_does_not_move_is_named_and_counted(two_brokers: TwoBrokers, tmp_path: Path) -> None:
    """The broker says that there are records, and does not send them."""
    pipeline = two_brokers.pipeline(tmp_path, "named", PARTITIONS)
    relayed = two_brokers.behind_relays(pipeline)
    source = UsersInput(pipeline)
    source.spend()
    port = free_port()
    options = relayed.arguments("--batch-interval", "0.2", "--metrics-port", str(port))

    def behind() -> float:
        found = BEHIND.search(requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text)
        return float(found[1]) if found else 0.0

    on_struck = [f"{pipeline.source} [{partition}]" for partition in range(1, PARTITIONS, 2)]
    with Client(options, tmp_path / "client.log") as client:
        wait_for_labels(client, pipeline, source.changes)
        written = len(client.output)
        with two_brokers.struck.with_fault(NO_FETCH):
            source.spend()
            wait_until(behind, "the metrics to count records that were not read", NAMED_S)
            wait_until(
                lambda: any(each in client.output[written:] for each in on_struck),
                "a partition that does not move to be named",
                NAMED_S,
            )
        wait_for_labels(client, pipeline, source.changes)
        wait_until(lambda: not behind(), "the metrics to count none", NAMED_S)
        assert client.stop() == 0, client.output
    assert wrong_records(pipeline, source.changes) == []


def test_three_brokers(cluster: Stack, tmp_path: Path) -> None:
    """The scenario of `make chaos`, with a fault for each broker: leaders of labels and coordinators included."""
    result = disturb_brokers(cluster, tmp_path, 1, "broker_disturbed", [HANGS, RESETS, ANSWERS_AFTER_3_S])
    assert result.passed, str(result)
