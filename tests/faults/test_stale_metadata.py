"""A broker with old metadata answers that a new topic does not exist: client and tests ask again."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException

from classifier.config.settings import Settings
from classifier.kafka.client import Kafka
from classifier.kafka.source import Source, partitions_of
from classifier.stop import StopRequest
from tests.faults.relay import Hidden, Relay
from tests.faults.stack import RelayedStack
from tests.faults.watcher import Watcher
from tests.support.pipeline import Pipeline, Services
from tests.support.topics import Outgoing, Topics
from tests.support.waiting import wait_until

DENIALS = 3
"""Number of wrong answers; a client asks again after 100 ms, then after longer and longer times."""
POLL_S = 0.1


@pytest.fixture
def relayed(stack: RelayedStack) -> Iterator[Topics]:
    """The broker behind the relay, which hides nothing at the end."""
    yield Topics(stack.relay.bootstrap_servers)
    stack.relay.show()


def hide(relay: Relay, topic: str) -> Hidden:
    """Hide a topic; return the counter of denials."""
    relay.hide(topic)
    assert relay.hidden is not None
    return relay.hidden


def test_create_returns_once_the_broker_knows_the_topic(stack: RelayedStack, relayed: Topics) -> None:
    hidden = hide(stack.relay, "made_late")
    with ThreadPoolExecutor() as pool:
        made = pool.submit(relayed.create, "made_late", 2)
        wait_until(lambda: hidden.n_denied >= DENIALS or made.done(), "requests for the topic")
        assert not made.done()
        with pytest.raises(KafkaException) as denied:
            relayed.partitions("made_late")
        assert denied.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        stack.relay.show()
        made.result()
    assert relayed.partitions("made_late") == [0, 1]


def test_the_watcher_misses_no_label(stack: RelayedStack, tmp_path: Path, relayed: Topics) -> None:
    pipeline = Pipeline(Services(relayed, stack.services.subjects), tmp_path, "watched")
    watcher = Watcher(pipeline)
    watcher.start()
    pipeline.topics.write(pipeline.output, [Outgoing(0, b"label", [], b"key")])
    wait_until(lambda: watcher.seen, "the label to be seen")
    watcher.stop()


@pytest.mark.parametrize("n_known", [0, 1], ids=["unknown from the start", "known before"])
def test_the_client_reads_a_topic_that_is_unknown_for_a_while(
    stack: RelayedStack, tmp_path: Path, relayed: Topics, n_known: int
) -> None:
    pipeline = Pipeline(Services(relayed, stack.services.subjects), tmp_path, f"denied_{n_known}", partitions=2)
    connection = {"bootstrap.servers": relayed.bootstrap_servers}
    settings = Settings({}, connection, connection, group=pipeline.group)
    kafka = Kafka(settings, StopRequest())
    consumer = kafka.consumer()
    partitions = partitions_of(consumer, pipeline.source) if n_known else pipeline.topics.partitions(pipeline.source)
    pipeline.topics.write(pipeline.source, [Outgoing(at, b"row", []) for at in partitions])
    hidden = hide(stack.relay, pipeline.source)
    source = Source(kafka, consumer, pipeline.source, dict.fromkeys(partitions, OFFSET_BEGINNING))
    n_read = 0

    def read() -> bool:
        nonlocal n_read
        n_read += len(source.read(10, POLL_S))
        if hidden.n_denied >= DENIALS:
            stack.relay.show()
        return n_read == 2 and source.at_end

    wait_until(read, "both records to be read")
    consumer.close()
    assert n_known or hidden.n_denied >= DENIALS
