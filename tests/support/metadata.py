"""Metadata of topics, broker by broker: a new topic is unknown to a broker until its metadata are updated."""

from collections.abc import Iterator

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata, PartitionMetadata  # type: ignore[attr-defined]

TIMEOUT_S = 30.0


def all_know(admin: AdminClient, topic: str, n_partitions: int) -> bool:
    """Whether each running broker knows a leader for every partition of a topic; with 0, no broker knows the topic."""
    led = list(_partitions_led(admin, topic))
    return bool(led) and all(n_led == n_partitions for n_led in led)


def _partitions_led(admin: AdminClient, topic: str) -> Iterator[int | None]:
    """The number of partitions with a leader, as each broker answers; None where another broker has answered."""
    for broker in admin.list_topics(timeout=TIMEOUT_S).brokers.values():
        address = f"{broker.host}:{broker.port}"
        # A new client is connected only to the broker whose address it was given.
        answer = AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(topic, TIMEOUT_S)
        led = [partition for partition in answer.topics[topic].partitions.values() if partition.leader >= 0]
        yield len(led) if str(answer.orig_broker_name).startswith(f"{address}/") else None


def partitions_in(answer: ClusterMetadata, topic: str) -> dict[int, PartitionMetadata]:
    """The partitions of a topic by number; KafkaException if the broker that answered does not know it.

    Such an answer has no partitions, and reading no partitions would never end.
    """
    found = answer.topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return dict(found.partitions)
