"""What each error of the Kafka client means: one row each."""

import pytest
from confluent_kafka import KafkaError

from classifier import errors
from classifier.errors import (
    AccessDenied,
    BrokerUnavailable,
    ClassifierError,
    ConfigError,
    KafkaFailed,
    ProducerFenced,
    TopicMissing,
    TransactionAborted,
    classify,
)

FENCED = "transactional.id 'x' was taken over by a newer user_classifier; this one stops"
RIGHT = "not allowed to read topic t (told so); grant this permission, see docs/configuration.md, Permissions"
CHECK_CERTIFICATE = (
    "check that ssl.ca.location holds the authority that signed the broker's certificate, that the certificate is for"
    " the host in bootstrap.servers, and that it has not expired"
)
TOO_LARGE = "(MSG_SIZE_TOO_LARGE); raise message.max.bytes in [producer] and max.message.bytes of the topic"
GONE = "cannot read topic t: told so; run with --check to see what is missing and how to create it"
BROKEN = "ssl://host:9092/bootstrap: SSL routines::certificate verify failed (after 15ms in state SSL_HANDSHAKE)"
AGAIN = "; start again; if it fails the same way, add --log-level DEBUG and read the last lines of the log"
E = KafkaError


def error(code: int, fatal: bool = False, retriable: bool = False, abort: bool = False) -> KafkaError:
    """An error of the client library."""
    return KafkaError(code, "told so", fatal, retriable, abort)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (error(E._FENCED, fatal=True), ProducerFenced, FENCED),
        (error(E.PRODUCER_FENCED, fatal=True), ProducerFenced, FENCED),
        (error(E.INVALID_PRODUCER_EPOCH), ProducerFenced, FENCED),
        (error(E.INVALID_PRODUCER_EPOCH, abort=True), TransactionAborted, "transaction aborted (told so)"),
        (error(E.UNKNOWN_PRODUCER_ID, abort=True), TransactionAborted, "transaction aborted (told so)"),
        (error(E._TIMED_OUT, retriable=True, abort=True), TransactionAborted, "transaction aborted (told so)"),
        (error(E.TOPIC_AUTHORIZATION_FAILED), AccessDenied, RIGHT),
        (error(E.GROUP_AUTHORIZATION_FAILED), AccessDenied, RIGHT),
        (error(E.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, fatal=True), AccessDenied, RIGHT),
        (
            error(E._AUTHENTICATION),
            AccessDenied,
            "told so; check security.protocol, sasl.mechanisms, sasl.username and sasl.password",
        ),
        (error(E._SSL), AccessDenied, f"told so; {CHECK_CERTIFICATE}"),
        (KafkaError(E._TRANSPORT, BROKEN), AccessDenied, f"{BROKEN}; {CHECK_CERTIFICATE}"),
        (error(E.UNKNOWN_TOPIC_OR_PART), TopicMissing, GONE),
        (error(E._UNKNOWN_TOPIC), TopicMissing, GONE),
        (error(E._UNKNOWN_PARTITION), TopicMissing, GONE),
        (error(E.COORDINATOR_LOAD_IN_PROGRESS, retriable=True), BrokerUnavailable, "cannot read topic t: told so"),
        (error(E._TRANSPORT), BrokerUnavailable, "cannot read topic t: told so"),
        (error(E._ALL_BROKERS_DOWN), BrokerUnavailable, "cannot read topic t: told so"),
        (error(E._TIMED_OUT), BrokerUnavailable, "cannot read topic t: told so"),
        (error(E._DESTROY_BROKER), BrokerUnavailable, "cannot read topic t: told so"),
        (error(E.NOT_ENOUGH_REPLICAS), BrokerUnavailable, "cannot read topic t: told so"),
        (error(E._TRANSPORT, fatal=True), KafkaFailed, f"cannot read topic t: told so (_TRANSPORT){AGAIN}"),
        (error(E._STATE), KafkaFailed, f"cannot read topic t: told so (_STATE){AGAIN}"),
        (error(E.OUT_OF_ORDER_SEQUENCE_NUMBER, fatal=True), KafkaFailed, None),
        (error(E.MSG_SIZE_TOO_LARGE), KafkaFailed, f"cannot read topic t: told so {TOO_LARGE}"),
    ],
)  # fmt: skip
def test_classify(given: KafkaError, kind: type[ClassifierError], message: str | None) -> None:
    found = classify(given, "read topic t", "x")
    assert type(found) is kind
    assert message is None or str(found) == message


def test_only_mistakes_of_configuration_exit_with_2() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    codes = {kind: kind.exit_code for kind in kinds if issubclass(kind, ClassifierError)}
    assert len(codes) > 10
    assert {kind for kind, code in codes.items() if code == 2} == {ConfigError}
    assert set(codes.values()) == {1, 2}
