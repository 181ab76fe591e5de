"""Why brokers do not answer: advice for a connection's error, and refusals that last."""

import pytest
from confluent_kafka import KafkaError

from classifier.credentials import NO_TOKEN
from classifier.errors import AccessDenied
from classifier.kafka import diagnosis
from classifier.kafka.client import Kafka
from classifier.kafka.diagnosis import REPEATED_SECONDS, Refusals, connection_advice
from tests.support.memory import in_memory

BOOTSTRAP = "lb.example:9092, 10.0.0.1:9093"
REFUSED = KafkaError(KafkaError._AUTHENTICATION, "sasl_ssl://b:1/1: SASL authentication error: wrong")
AWAY = KafkaError(KafkaError._TRANSPORT, "sasl_ssl://b:1/1: Connect to ipv4#127.0.0.1:1 failed: Connection refused")
TIMED_OUT = KafkaError(KafkaError._TIMED_OUT, "timed out")
CREDENTIALS = "check security.protocol, sasl.mechanisms, sasl.username and sasl.password"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("broker-1.internal:9092/1: Failed to resolve 'broker-1.internal:9092': not known", "broker-1.internal:9092"),
        ("sasl_ssl://broker-1.internal:9092/7: Connect to ipv4#10.9.8.7:9092 failed: timed out",
            "broker-1.internal:9092"),
        ("GroupCoordinator: broker-1.internal:9092: Failed to resolve", "broker-1.internal:9092"),
        ("ssl://TxnCoordinator: broker-1.internal:9092: Failed to resolve", "broker-1.internal:9092"),
        ("10.0.0.1:9093/2: Connect to ipv4#10.0.0.1:9093 failed: Connection refused", ""),
        ("lb.example:9092/bootstrap: Failed to resolve 'lb.example:9092'", ""),
        ("timed out", ""),
    ],
)  # fmt: skip
def test_an_address_that_only_the_brokers_name(text: str, address: str) -> None:
    advice = connection_advice(KafkaError(KafkaError._TRANSPORT, text), BOOTSTRAP)
    assert advice.text == (
        f"{address} is the address that the broker gives to its clients; it has to be reachable from here, see the"
        " broker's advertised.listeners"
        if address
        else ""
    )


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the module."""
    made = Clock()
    monkeypatch.setattr(diagnosis, "time", made)
    return made


@pytest.mark.parametrize(
    ("at", "lasting"),
    [([], False), ([0], False), ([0, 30], False), ([0, 35, 70], True), ([0, 200, 230], False), ([0, 200, 260], True)],
)
def test_refusals_that_last(at: list[float], lasting: bool, clock: Clock) -> None:
    refusals = Refusals()
    for seconds in at:
        clock.now = 1000.0 + seconds
        refusals.note("b:1/1: wrong; check it", "producer")
    if not lasting:
        refusals.check("Kafka b:1")
        return
    refusals.note("b:1/1: wrong; check it", "consumer")
    with pytest.raises(AccessDenied) as caught:
        refusals.check("Kafka b:1")
    assert str(caught.value) == "Kafka b:1: b:1/1: wrong; check it; see [consumer] and [producer]; refused for 60 s"


def test_a_token_that_brokers_refuse_because_the_provider_gives_no_other(clock: Clock) -> None:
    refused = KafkaError(KafkaError._AUTHENTICATION, "b:1/1: SASL authentication error")
    away = KafkaError(KafkaError._AUTHENTICATION, f"{NO_TOKEN}Could not connect to server")
    refusals = Refusals()
    assert not refusals.is_for_want_of_a_token(refused, "consumer")
    assert not refusals.is_for_want_of_a_token(away, "consumer")  # this is the cause
    assert refusals.is_for_want_of_a_token(refused, "consumer")
    assert not refusals.is_for_want_of_a_token(refused, "producer")
    assert not refusals.is_for_want_of_a_token(AWAY, "consumer")
    clock.now += REPEATED_SECONDS
    assert not refusals.is_for_want_of_a_token(refused, "consumer")


def failing_call(kafka: Kafka, reported: KafkaError | None) -> None:
    """One failed attempt, as `Kafka.call` makes it, after a client has reported an error in the background."""
    if reported:
        kafka._note_error("consumer", reported)
    kafka.note_failure(TIMED_OUT, "read topic t")


def test_a_changed_cause_is_logged_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.outage.RETRY_SECONDS", 0.0)
    kafka = in_memory()
    for reported in (AWAY, AWAY, REFUSED, REFUSED, AWAY, REFUSED):
        failing_call(kafka, reported)
    began = "Kafka host:9092: cannot read topic t: timed out"
    address = "b:1 is the address that the broker gives to its clients; it has to be reachable from here, see the"
    assert caplog.messages == [
        f"Kafka host:9092: cannot read topic t: timed out ({AWAY.str()}); {address} broker's advertised.listeners;"
        " retrying until it is back",
        f"{began.replace(': cannot', ': now cannot')} ({REFUSED.str()}); {CREDENTIALS}; still retrying",
    ]


def test_refusals_end_the_client_while_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if no call fails: one of several brokers refuses the consumer."""
    monkeypatch.setattr(diagnosis, "REFUSED_SECONDS", 0.0)
    kafka = in_memory()
    kafka._note_error("consumer", REFUSED)
    with pytest.raises(AccessDenied, match=r"sasl.password; see \[consumer\]; refused for 0 s$"):
        kafka.check_refusals()
