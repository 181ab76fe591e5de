"""Two brokers, each behind a relay for the client under test; writers and readers of the tests reach both directly.

The first broker, `steady`, coordinates the group and the transactions, and leads topics of one partition. The second
broker, `struck`, leads every other partition of the rest. No partition has a replica.
"""

import copy
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

from local.services.kafka import KafkaBroker, Quorum, new_cluster_id
from local.services.process import free_port, start_all, stop_all
from local.services.registry import SchemaRegistry
from tests.faults.broker_faults import FaultyRelay
from tests.faults.cluster import Leadership
from tests.faults.stack import Relayed, Stack, broker_properties
from tests.support import configuration
from tests.support.pipeline import Pipeline, Services
from tests.support.subjects import Subjects
from tests.support.topics import TIMEOUT_S, Topics
from tests.support.waiting import wait_until

STEADY, STRUCK = 1, 2
"""Node ids."""
NUMBERS = itertools.count(1)
RECONNECT = {"reconnect.backoff.max.ms": "500"}
"""Shorter than librdkafka's 10 s: how long a client waits after connections were reset."""


class PlacedTopics(Topics):
    """Topics whose partitions are led by the two brokers in turn, the first one by `steady`."""

    def create(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """See Topics."""
        replicas = [[(STEADY, STRUCK)[partition % 2]] for partition in range(partitions)]
        topic = NewTopic(name, num_partitions=partitions, replica_assignment=replicas, config=dict(config or {}))
        self._admin.create_topics([topic])[name].result(TIMEOUT_S)
        wait_until(lambda: self._led(name) == partitions, f"every broker to know {name}", TIMEOUT_S)

    def _led(self, name: str) -> int:
        found = self._admin.list_topics(name, timeout=TIMEOUT_S).topics[name].partitions.values()
        return sum(partition.leader >= 0 for partition in found)


@dataclass(frozen=True)
class TwoBrokers(Stack):
    """Both brokers and their relays."""

    @property
    def steady(self) -> FaultyRelay:
        """The relay in front of the first broker."""
        return self.faulty[0]

    @property
    def struck(self) -> FaultyRelay:
        """The relay in front of the second broker."""
        return self.faulty[1]

    def pipeline(self, directory: Path, name: str, partitions: int = 6) -> Pipeline:
        """Make a pipeline whose coordinators are on the steady broker; it reaches both brokers directly."""
        leadership = Leadership(self)
        while True:
            chosen = f"{name}_{next(NUMBERS)}"
            group, transactional_id = f"{chosen}_group", f"user_classifier-{chosen}_group-{chosen}_labeling"
            found = (
                leadership.coordinator("__consumer_offsets", group),
                leadership.coordinator("__transaction_state", transactional_id),
            )
            if all(broker.node_id == STEADY for broker in found):
                return Pipeline(self.services, directory, chosen, partitions)

    def behind_relays(self, pipeline: Pipeline) -> Pipeline:
        """Return the same pipeline for a client that reaches both brokers through the relays."""
        relayed = copy.copy(pipeline)
        relayed.sections = copy.deepcopy(pipeline.sections)
        for section in ("consumer", "producer"):
            relayed.sections[section] |= {"bootstrap.servers": self.steady.bootstrap_servers, **RECONNECT}
        path = pipeline.directory / f"{pipeline.group}_relayed.ini"
        relayed.file = configuration.write(path, relayed.sections)
        return relayed


@contextmanager
def running_two_brokers(directory: Path) -> Iterator[TwoBrokers]:
    """Start two brokers, a relay for each and a registry; end all."""
    quorum = Quorum(new_cluster_id(), {node_id: free_port() for node_id in (STEADY, STRUCK)})
    relays, brokers = [], []
    for node_id in (STEADY, STRUCK):
        port, behind_relay = free_port(), free_port()
        relays.append(FaultyRelay(free_port(), behind_relay))
        properties = broker_properties(port, {"FAULTY": Relayed(behind_relay, relays[-1].port)})
        brokers.append(KafkaBroker(directory / f"kafka_{node_id}", port, properties, quorum=quorum, node_id=node_id))
    registry = SchemaRegistry(directory / "registry", free_port())
    try:
        start_all([*brokers, registry])
        topics = PlacedTopics(",".join(broker.bootstrap_servers for broker in brokers))
        topics.wait_for_coordinator()
        topics.create("first")
        topics.write_in_transaction("first", [], commit=True)  # makes __transaction_state
        yield TwoBrokers(brokers, registry, Services(topics, Subjects(registry.url)), relays)
    finally:
        for relay in relays:
            relay.close()
        stop_all([*brokers, registry])
