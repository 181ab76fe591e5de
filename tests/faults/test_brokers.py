"""Three brokers: labels keep flowing when any of them is killed."""

from pathlib import Path

from tests.faults.brokers import KILL_COORDINATOR_OF_TRANSACTIONS, KILL_LEADER_OF_OUTPUT, stop_brokers
from tests.faults.cluster import java_hash
from tests.faults.stack import Stack

FAULTS = [KILL_LEADER_OF_OUTPUT, KILL_COORDINATOR_OF_TRANSACTIONS]


def test_a_leader_and_the_coordinator_killed(cluster: Stack, tmp_path: Path) -> None:
    result = stop_brokers(cluster, tmp_path, 1, "brokers", FAULTS)
    print(result.line())
    assert result.passed, str(result)


def test_the_partition_of_a_coordinator_is_found_as_in_java() -> None:
    assert java_hash("hello") == 99162322
    assert java_hash("polygenelubricants") == 0  # Integer.MIN_VALUE without its sign
