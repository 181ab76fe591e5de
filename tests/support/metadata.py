"""What brokers answer about topics: one made a moment ago is unknown to a broker that has not heard of it yet."""

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata, PartitionMetadata  # type: ignore[attr-defined]

TIMEOUT_S = 30.0


def all_know(admin: AdminClient, topic: str, n_partitions: int) -> bool:
    """Whether each broker that is up names a leader for every partition of a topic."""
    brokers = admin.list_topics(timeout=TIMEOUT_S).brokers.values()
    return all(_knows(f"{broker.host}:{broker.port}", topic, n_partitions) for broker in brokers)


def _knows(address: str, topic: str, n_partitions: int) -> bool:
    # A client that has just been made is connected to the one broker whose address it was given.
    answer = AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(topic, TIMEOUT_S)
    led = [partition for partition in answer.topics[topic].partitions.values() if partition.leader >= 0]
    return str(answer.orig_broker_name).startswith(f"{address}/") and len(led) == n_partitions


def partitions_in(answer: ClusterMetadata, topic: str) -> dict[int, PartitionMetadata]:
    """The partitions of a topic by number; KafkaException if the broker that answered does not know it.

    Such an answer names no partitions, and a reader of none waits for ever.
    """
    found = answer.topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return dict(found.partitions)
