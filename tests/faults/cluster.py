"""A cluster of three brokers, as in Confluent Cloud: a committed record is on at least two of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from local.services.kafka import KafkaBroker, Quorum, new_cluster_id
from local.services.process import free_port, start_all, stop_all
from local.services.registry import SchemaRegistry
from tests.faults.broker_faults import FaultyRelay
from tests.faults.stack import Relayed, Stack, broker_properties
from tests.support.metadata import partitions_in
from tests.support.pipeline import Services
from tests.support.subjects import Subjects
from tests.support.topics import Topics
from tests.support.waiting import wait_until

NODES = (1, 2, 3)
REPLICATED = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "offsets.topic.num.partitions": "6",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "transaction.state.log.num.partitions": "6",
}
TIMEOUT_S = 30.0
IN_SYNC_S = 90.0
"""How long a broker may take to replicate everything after its start."""


@contextmanager
def running_cluster(directory: Path) -> Iterator[Stack]:
    """Start three brokers, a relay for each and a registry; stop all."""
    quorum = Quorum(new_cluster_id(), {node_id: free_port() for node_id in NODES})
    relays, brokers = [], []
    for node_id in NODES:
        port, behind_relay = free_port(), free_port()
        relays.append(FaultyRelay(free_port(), behind_relay))
        relayed = {"FAULTY": Relayed(behind_relay, relays[-1].port)}
        properties = {**REPLICATED, **broker_properties(port, relayed)}
        brokers.append(KafkaBroker(directory / f"kafka_{node_id}", port, properties, quorum=quorum, node_id=node_id))
    registry = SchemaRegistry(directory / "registry", free_port())
    try:
        start_all([*brokers, registry])
        topics = Topics(",".join(broker.bootstrap_servers for broker in brokers))
        topics.wait_for_coordinator()
        yield Stack(brokers, registry, Services(topics, Subjects(registry.url)), relays)
    finally:
        for relay in relays:
            relay.close()
        stop_all([*brokers, registry])


class Leadership:
    """Which broker is leader or coordinator of what."""

    def __init__(self, cluster: Stack) -> None:
        self._brokers = {broker.node_id: broker for broker in cluster.brokers}
        self._admin = AdminClient({"bootstrap.servers": cluster.services.topics.bootstrap_servers, "log_level": 0})

    def leader(self, topic: str, partition: int) -> KafkaBroker:
        """The broker that leads a partition."""
        found = partitions_in(self._admin.list_topics(topic, timeout=TIMEOUT_S), topic)
        return self._brokers[found[partition].leader]

    def coordinator(self, topic: str, name: str) -> KafkaBroker:
        """The coordinator of a group or transactional id: the leader of its partition of an internal topic."""
        found = partitions_in(self._admin.list_topics(topic, timeout=TIMEOUT_S), topic)
        return self._brokers[found[java_hash(name) % len(found)].leader]

    def wait_in_sync(self) -> None:
        """Wait until all replicas are in sync, so that another broker may be stopped."""
        wait_until(self._in_sync, "the replicas to be in sync", IN_SYNC_S)

    def _in_sync(self) -> bool:
        try:
            topics = self._admin.list_topics(timeout=TIMEOUT_S).topics.values()
        except KafkaException:
            return False
        partitions = [partition for topic in topics for partition in topic.partitions.values()]
        return all(len(partition.isrs) == len(partition.replicas) and partition.leader >= 0 for partition in partitions)


def java_hash(text: str) -> int:
    """Java's String.hashCode() without the sign bit, by which Kafka chooses the partition of a coordinator."""
    number = 0
    for unit in text.encode("ascii"):
        number = (31 * number + unit) & 0xFFFFFFFF
    return number & 0x7FFFFFFF
