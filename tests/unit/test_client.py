"""Kafka.call: logs an outage, retries through it, and gives up when a stop is requested."""

from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from classifier import outage
from classifier.errors import AccessDenied, BrokerUnavailable
from classifier.kafka.client import Kafka
from classifier.stop import StopRequest
from tests.support.fakes import failure
from tests.support.memory import SETTINGS, in_memory

AGAIN = failure(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, retriable=True)


def test_begin_and_end_of_an_outage_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    kafka = in_memory()
    failures = [AGAIN, AGAIN, AGAIN]

    def call() -> str:
        if failures:
            raise failures.pop()
        return "answer"

    assert kafka.call("read topic t", call) == "answer"
    assert len(caplog.records) == 1, "one answer does not end an outage: another call may still hang"
    failures.append(AGAIN)
    kafka.call("read topic t", call)
    kafka.outage.note_recovery()  # as after a commit
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "Kafka host:9092: cannot read topic t: made up; retrying until it is back"
    assert lines[1].startswith("Kafka host:9092: back after ")
    assert len(lines) == 2


def test_an_outage_ends_after_some_time_without_failures(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a topic without new records, where nothing is committed."""
    kafka = in_memory()
    kafka.outage.note_failure("made up")
    kafka.call("read topic t", lambda: None)
    assert len(caplog.records) == 1
    monkeypatch.setattr(outage, "CALM_SECONDS", 0.0)
    kafka.call("read topic t", lambda: None)
    assert caplog.records[-1].getMessage().startswith("Kafka host:9092: back after ")


def test_a_stop_request_ends_the_retries() -> None:
    kafka = in_memory()

    def call() -> None:
        kafka.stop.requested = True
        raise AGAIN

    with pytest.raises(BrokerUnavailable, match=r"^cannot read topic t: made up$"):
        kafka.call("read topic t", call)


@pytest.mark.parametrize(
    "refused",
    [
        failure(KafkaError._AUTHENTICATION),
        failure(KafkaError._SSL),
        KafkaException(KafkaError(KafkaError._TRANSPORT, "ssl/tls alert certificate expired")),
    ],
)
def test_a_login_that_is_refused_after_it_was_accepted_is_an_outage(refused: KafkaException) -> None:
    """As while a password changes, or while an OpenID provider is away and the token has expired."""
    kafka = in_memory()
    answers = iter([refused, None])

    def call() -> None:
        if (failed := next(answers)) is not None:
            raise failed

    with pytest.raises(AccessDenied):
        kafka.call("read topic t", call)
    Kafka.connect(kafka, cast(Consumer, Answering()), "consumer")
    answers = iter([refused, None])
    kafka.call("read topic t", call)


class Answering:
    """A client whose brokers answer."""

    def list_topics(self, timeout: float) -> object:
        return timeout


def test_on_wait_is_called_before_each_retry() -> None:
    kafka = in_memory()
    waits: list[None] = []
    kafka.on_wait = lambda: waits.append(None)
    answers = iter([AGAIN, AGAIN, None])

    def call() -> None:
        if (failed := next(answers)) is not None:
            raise failed

    kafka.call("read topic t", call)
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("given", "configs", "sent"),
    [
        ({}, [{}], None),  # without the permission DescribeConfigs
        ({}, [{"max.message.bytes": "1048588", "segment.bytes": "1073741824"}], 1_000_000),
        ({}, [{"max.message.bytes": "1000", "segment.bytes": "1073741824"}], 1000),
        ({}, [{"max.message.bytes": "1000"}, {}, {"max.message.bytes": "500"}], 500),
        ({}, [{"max.message.bytes": "1048588", "segment.bytes": "16384"}], 16_384),
        ({"batch.size": "700"}, [{"max.message.bytes": "1000"}], 700),
        ({"batch.size": "1200"}, [{"max.message.bytes": "1000"}], 1000),
        ({}, [{"max.message.bytes": "0"}], 1),  # librdkafka refuses 0
        ({}, [{"max.message.bytes": ""}], None),
    ],
)
def test_batches_are_as_small_as_the_topics_require(
    given: dict[str, str], configs: list[dict[str, str]], sent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    monkeypatch.setattr("classifier.kafka.client.Producer", lambda properties, logger: made.append(properties))
    monkeypatch.setattr(Kafka, "topic_config", lambda kafka, topic: configs[int(topic)])
    kafka = Kafka(replace(SETTINGS, producer=given), StopRequest())
    for topic in range(len(configs)):
        kafka.limit_batches(str(topic))
    kafka.producer()
    assert made[0].get("batch.size") == sent
    assert kafka.batch_size == (sent or 1_000_000)


CONNECTION = {
    "bootstrap.servers": "127.0.0.1:1",
    "security.protocol": "SASL_SSL",
    "sasl.mechanisms": "OAUTHBEARER",
    "https.ca.location": "/etc/ssl/certs",
    "client.dns.lookup": "resolve_canonical_bootstrap_servers_only",
    "broker.address.family": "v4",
    "socket.keepalive.enable": "true",
    "reconnect.backoff.max.ms": "500",
    "client.id": "ours",
}
OF_A_CONSUMER = {
    "group.id": "g",
    "auto.offset.reset": "earliest",
    "enable.auto.commit": "false",
    "enable.partition.eof": "true",
    "session.timeout.ms": "45000",
    "heartbeat.interval.ms": "3000",
    "max.poll.interval.ms": "300000",
    "max.partition.fetch.bytes": "1000",
    "queued.min.messages": "1000",
    "fetch.wait.max.ms": "100",
    "isolation.level": "read_committed",
    "check.crcs": "true",
    "partition.assignment.strategy": "range",
    "allow.auto.create.topics": "false",
}


def test_an_admin_client_gets_all_properties_but_those_of_a_consumer(caplog: pytest.LogCaptureFixture) -> None:
    """The library itself warns of properties that are not of this kind of client."""
    made: dict[str, str] = {}

    class Recording(Kafka):
        def _make(self, client: Any, section: str, properties: Any) -> Any:
            made.update(properties)
            return super()._make(client, section, properties)

    kafka = Recording(replace(SETTINGS, consumer={**OF_A_CONSUMER, **CONNECTION}), StopRequest())
    admin = kafka.admin("consumer")
    admin.poll(0.1)
    assert CONNECTION.items() <= made.items()
    assert "is a consumer property" not in caplog.text


@pytest.mark.parametrize(
    ("code", "found"),
    [(KafkaError._TIMED_OUT, {"cleanup.policy": "compact"}), (KafkaError.TOPIC_AUTHORIZATION_FAILED, {})],
)
def test_only_a_missing_permission_hides_the_configuration_of_a_topic(
    code: int, found: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leader that does not answer at once is asked again."""
    monkeypatch.setattr(outage, "RETRY_SECONDS", 0.0)
    answers: list[Any] = [failure(code), {"cleanup.policy": SimpleNamespace(value="compact")}]

    class Admin:
        def poll(self, timeout: float) -> None:
            """Nothing is reported in the background."""

        def describe_configs(self, resources: list[Any], request_timeout: float) -> dict[Any, Future[Any]]:
            answer = answers.pop(0)
            future: Future[Any] = Future()
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
            return {resources[0]: future}

    kafka = in_memory()
    monkeypatch.setattr(kafka, "admin", lambda section: Admin())
    assert Kafka.topic_config(kafka, "t") == found
