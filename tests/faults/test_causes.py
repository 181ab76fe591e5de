"""The log names why no broker answers: an address nobody can reach, topics that cannot be made, a transaction.

Clients are processes of their own here: librdkafka can wait forever when it frees an AdminClient without a broker.
The product does not free its clients, it ends its process.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from local.services.kafka import KafkaBroker
from local.services.process import free_port
from tests.faults.stack import Stack
from tests.support import client
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.client import Client
from tests.support.pipeline import Pipeline, Services, new_name
from tests.support.topics import Topics

TIMEOUT_S = 30.0
UNRESOLVED = "broker-1.invalid:9092"
ADVERTISED = (
    " is the address that the broker gives to its clients; it has to be reachable from here, see the broker's"
    " advertised.listeners"
)
MAP = "PLAINTEXT:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT"
MakePipeline = Callable[[dict[str, str]], Pipeline]


@pytest.fixture
def on_new_broker(services: Services, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakePipeline]:
    """Make a pipeline on a broker with these properties; the first of its `listeners`, if any, is for the tests."""
    with ExitStack() as stack:

        def make(properties: dict[str, str]) -> Pipeline:
            inner = properties.get("listeners", "").partition(",")[0]
            broker = KafkaBroker(tmp_path / "kafka", int(inner.rpartition(":")[2] or free_port()), properties)
            stack.callback(broker.stop)
            broker.start()
            topics = Topics(broker.bootstrap_servers)
            pipeline = Pipeline(Services(topics, services.subjects), tmp_path, new_name(request.node.name))
            pipeline.write([Placed(0, Change(Op.INSERT, Row("ann", 1.0, 1)))])
            return pipeline

        yield make


def outside(make: MakePipeline, advertised: str) -> Pipeline:
    """A pipeline whose client uses a listener that the broker advertises under another address."""
    plain, port = free_port(), free_port()
    inner = f"PLAINTEXT://127.0.0.1:{plain}"
    pipeline = make(
        {
            "listeners": f"{inner},OUTSIDE://127.0.0.1:{port}",
            "advertised.listeners": f"{inner},OUTSIDE://{advertised}",
            "listener.security.protocol.map": MAP,
            "inter.broker.listener.name": "PLAINTEXT",
        }
    )
    for section in ("consumer", "producer"):
        pipeline.configure(section, bootstrap_servers=f"127.0.0.1:{port}")
    return pipeline


def test_an_advertised_address_that_nobody_can_reach(on_new_broker: MakePipeline, tmp_path: Path) -> None:
    pipeline = outside(on_new_broker, UNRESOLVED)
    checked = client.run(pipeline.arguments("--check"))
    assert f"{UNRESOLVED}{ADVERTISED}" in checked.stdout
    exported = client.run(pipeline.arguments("--export", str(tmp_path / "users.csv")))
    assert exported.code == 1
    assert "no longer available" not in exported.stderr
    assert f"{UNRESOLVED}{ADVERTISED}; run the export again" in exported.stderr
    with Client(pipeline.arguments(), tmp_path / "log") as running:
        running.wait_for_output(f"; {UNRESOLVED}{ADVERTISED}; retrying until it is back")


def test_an_export_from_an_advertised_address_that_refuses(on_new_broker: MakePipeline, tmp_path: Path) -> None:
    refused = f"127.0.0.1:{free_port()}"
    pipeline = outside(on_new_broker, refused)
    with Client(pipeline.arguments("--export", str(tmp_path / "users.csv")), tmp_path / "log") as running:
        running.wait_for_output("Connection refused")
        running.wait_for_output(f"; {refused}{ADVERTISED}; retrying until it is back")


@pytest.mark.parametrize(
    ("topic", "setting"),
    [
        ("__consumer_offsets", "offsets.topic.replication.factor"),
        ("__transaction_state", "transaction.state.log.replication.factor"),
    ],
)
def test_a_topic_that_one_broker_cannot_create(
    topic: str, setting: str, on_new_broker: MakePipeline, tmp_path: Path
) -> None:
    pipeline = on_new_broker({setting: "3"})
    if topic == "__transaction_state":
        problem = f"the brokers cannot create topic {topic}: {setting} is 3, and the cluster has 1 broker"
        assert f": {problem}; lower" in client.run(pipeline.arguments("--check")).stdout
    with Client(pipeline.arguments(), tmp_path / "log") as running:
        running.wait_for_output(
            f"the brokers have not created topic {topic}; they cannot if there are fewer of them than {setting};"
            " retrying until it exists"
        )


def test_an_open_transaction_that_holds_the_offsets(stack: Stack, tmp_path: Path) -> None:
    pipeline = Pipeline(stack.services, tmp_path, new_name("held_offsets"))
    pipeline.write([Placed(0, Change(Op.INSERT, Row("ann", 1.0, 1)))])
    servers = {"bootstrap.servers": pipeline.topics.bootstrap_servers}
    producer = Producer({**servers, "transactional.id": f"{pipeline.group}_other"})
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    consumer = Consumer({**servers, "group.id": pipeline.group})
    at = TopicPartition(pipeline.source, 0, 1)
    producer.send_offsets_to_transaction([at], consumer.consumer_group_metadata(), TIMEOUT_S)
    consumer.close()
    with Client(pipeline.arguments("--until-end"), tmp_path / "log") as running:
        running.wait_for_output(
            "an open transaction of another program holds offsets of the group; waiting until that program or the"
            " broker ends it"
        )
        threading.Thread(target=producer.abort_transaction, args=(TIMEOUT_S,)).start()
        assert running.wait() == 0, running.output
        assert "is back" not in running.output
    assert set(pipeline.labelling()) == {"ann"}
