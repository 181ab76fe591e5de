"""Two of three brokers hold the input, and elect a leader that lacks the last records."""

from collections.abc import Callable

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from local.services.kafka import KafkaBroker
from tests.faults.cluster import Leadership
from tests.faults.stack import Stack
from tests.support.metadata import all_know
from tests.support.pipeline import Pipeline
from tests.support.topics import TIMEOUT_S
from tests.support.waiting import wait_until

HOLDERS = (1, 2)
"""Node ids of the two brokers that hold the input; the third keeps the quorum of the controllers."""
UNCLEAN = {"unclean.leader.election.enable": "true", "min.insync.replicas": "1"}


def input_on_two(pipeline: Pipeline, partitions: int = 1) -> None:
    """Recreate the input on two of the brokers, which may elect an unclean leader; the first one leads."""
    pipeline.topics.delete(pipeline.source)
    admin = AdminClient({"bootstrap.servers": pipeline.topics.bootstrap_servers, "log_level": 0})
    replicas = [list(HOLDERS)] * partitions
    topic = NewTopic(pipeline.source, num_partitions=partitions, replica_assignment=replicas, config=UNCLEAN)
    admin.create_topics([topic])[pipeline.source].result(TIMEOUT_S)
    wait_until(
        lambda: all_know(admin, pipeline.source, partitions), f"every broker to know {pipeline.source}", TIMEOUT_S
    )


def lose_by_election(cluster: Stack, topic: str, append: Callable[[], None]) -> KafkaBroker:
    """Have records appended to the leader alone, and the other broker elected without them.

    Returns the old leader, which is down.
    """
    leader, follower = holders(cluster, topic)
    follower.stop()
    append()
    leader.kill()
    follower.start()
    wait_for_leader(cluster, topic, follower)
    return leader


def holders(cluster: Stack, topic: str) -> tuple[KafkaBroker, KafkaBroker]:
    """Return the leader of the first partition, and the other broker that holds the topic."""
    leader = Leadership(cluster).leader(topic, 0)
    return leader, next(each for each in cluster.brokers if each.node_id in HOLDERS and each is not leader)


def wait_for_leader(cluster: Stack, topic: str, broker: KafkaBroker) -> None:
    """Wait until a broker leads every partition of a topic."""
    leadership = Leadership(cluster)
    partitions = cluster.services.topics.partitions(topic)

    def leads() -> bool:
        try:
            return all(leadership.leader(topic, partition) is broker for partition in partitions)
        except KeyError:  # nobody leads it
            return False

    wait_until(leads, f"broker {broker.node_id} to lead {topic}")
