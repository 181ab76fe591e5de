"""What brokers answer about topics: one made a moment ago is unknown to a broker that has not heard of it yet."""

from collections.abc import Iterator

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata, PartitionMetadata  # type: ignore[attr-defined]

TIMEOUT_S = 30.0


def all_know(admin: AdminClient, topic: str, n_partitions: int) -> bool:
    """Whether each broker that is up names a leader for every partition of a topic; of none they know nothing."""
    led = list(_partitions_led(admin, topic))
    return bool(led) and all(n_led == n_partitions for n_led in led)


def _partitions_led(admin: AdminClient, topic: str) -> Iterator[int | None]:
    """How many partitions of a topic have a leader, as each broker answers; None where another one has answered."""
    for broker in admin.list_topics(timeout=TIMEOUT_S).brokers.values():
        address = f"{broker.host}:{broker.port}"
        # A client that has just been made is connected to the one broker whose address it was given.
        answer = AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(topic, TIMEOUT_S)
        led = [partition for partition in answer.topics[topic].partitions.values() if partition.leader >= 0]
        yield len(led) if str(answer.orig_broker_name).startswith(f"{address}/") else None


def partitions_in(answer: ClusterMetadata, topic: str) -> dict[int, PartitionMetadata]:
    """The partitions of a topic by number; KafkaException if the broker that answered does not know it.

    Such an answer names no partitions, and a reader of none waits for ever.
    """
    found = answer.topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return dict(found.partitions)
