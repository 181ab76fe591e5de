"""classify: the client's error for each error of the Kafka client library, one row each."""

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
PERMISSION = "not allowed to read topic t (reason); grant this permission, see docs/configuration.md, Permissions"
CHECK_CERTIFICATE = (
    "check that ssl.ca.location holds the authority that signed the broker's certificate, that the certificate is for"
    " the host in bootstrap.servers, and that it has not expired"
)
TOO_LARGE = "(MSG_SIZE_TOO_LARGE); raise message.max.bytes in [producer] and max.message.bytes of the topic"
CLOCK = (
    "check the clock of this machine: the topic refuses a record whose timestamp differs from the broker's time by more"
    " than message.timestamp.before.max.ms or message.timestamp.after.max.ms"
)
MISSING = "cannot read topic t: reason; run with --check to see what is missing and how to create it"
BROKEN = "ssl://host:9092/bootstrap: SSL routines::certificate verify failed (after 15ms in state SSL_HANDSHAKE)"
AGAIN = "; start again; if it fails the same way, add --log-level DEBUG and read the last lines of the log"
E = KafkaError


def error(code: int, fatal: bool = False, retriable: bool = False, abort: bool = False) -> KafkaError:
    """Return an error of the Kafka client library."""
    return KafkaError(code, "reason", fatal, retriable, abort)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (error(E._FENCED, fatal=True), ProducerFenced, FENCED),
        (error(E.PRODUCER_FENCED, fatal=True), ProducerFenced, FENCED),
        (error(E.INVALID_PRODUCER_EPOCH), ProducerFenced, FENCED),
        (error(E.INVALID_PRODUCER_EPOCH, abort=True), TransactionAborted, "transaction aborted (reason)"),
        (error(E.UNKNOWN_PRODUCER_ID, abort=True), TransactionAborted, "transaction aborted (reason)"),
        (error(E._TIMED_OUT, retriable=True, abort=True), TransactionAborted, "transaction aborted (reason)"),
        (error(E.TOPIC_AUTHORIZATION_FAILED), AccessDenied, PERMISSION),
        (error(E.GROUP_AUTHORIZATION_FAILED), AccessDenied, PERMISSION),
        (error(E.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, fatal=True), AccessDenied, PERMISSION),
        (
            error(E._AUTHENTICATION),
            AccessDenied,
            "reason; check security.protocol, sasl.mechanisms, sasl.username and sasl.password",
        ),
        (error(E._SSL), AccessDenied, f"reason; {CHECK_CERTIFICATE}"),
        (KafkaError(E._TRANSPORT, BROKEN), AccessDenied, f"{BROKEN}; {CHECK_CERTIFICATE}"),
        (error(E.UNKNOWN_TOPIC_OR_PART), TopicMissing, MISSING),
        (error(E._UNKNOWN_TOPIC), TopicMissing, MISSING),
        (error(E._UNKNOWN_PARTITION), TopicMissing, MISSING),
        (error(E.COORDINATOR_LOAD_IN_PROGRESS, retriable=True), BrokerUnavailable, "cannot read topic t: reason"),
        (error(E._TRANSPORT), BrokerUnavailable, "cannot read topic t: reason"),
        (error(E._ALL_BROKERS_DOWN), BrokerUnavailable, "cannot read topic t: reason"),
        (error(E._TIMED_OUT), BrokerUnavailable, "cannot read topic t: reason"),
        (error(E._DESTROY_BROKER), BrokerUnavailable, "cannot read topic t: reason"),
        (error(E.NOT_ENOUGH_REPLICAS), BrokerUnavailable, "cannot read topic t: reason"),
        (error(E._TRANSPORT, fatal=True), KafkaFailed, f"cannot read topic t: reason (_TRANSPORT){AGAIN}"),
        (error(E._STATE), KafkaFailed, f"cannot read topic t: reason (_STATE){AGAIN}"),
        (error(E.OUT_OF_ORDER_SEQUENCE_NUMBER, fatal=True), KafkaFailed, None),
        (error(E.MSG_SIZE_TOO_LARGE), KafkaFailed, f"cannot read topic t: reason {TOO_LARGE}"),
        # Refused for good, also where librdkafka only aborts the transaction.
        (error(E.MSG_SIZE_TOO_LARGE, abort=True), KafkaFailed, f"cannot read topic t: reason {TOO_LARGE}"),
        (error(E.RECORD_LIST_TOO_LARGE, abort=True), KafkaFailed, None),
        (error(E.INVALID_RECORD, abort=True), KafkaFailed,
            f"cannot read topic t: reason (INVALID_RECORD); {CLOCK}; a compacted topic also refuses records without a"
            " key"),
        (error(E.INVALID_TIMESTAMP, abort=True), KafkaFailed,
            f"cannot read topic t: reason (INVALID_TIMESTAMP); {CLOCK}"),
        (error(E.POLICY_VIOLATION, abort=True), KafkaFailed, None),
        (error(E.TOPIC_EXCEPTION, abort=True), KafkaFailed, None),
        (error(E.GROUP_ID_NOT_FOUND, abort=True), KafkaFailed,
            "cannot read topic t: reason (GROUP_ID_NOT_FOUND); a group of another type, such as a share group, has this"
            " id; choose another group with -g"),
        (error(E.INCONSISTENT_GROUP_PROTOCOL, abort=True), KafkaFailed, None),
        (error(E.INVALID_GROUP_ID, abort=True), KafkaFailed,
            "cannot read topic t: reason (INVALID_GROUP_ID); choose another group with -g"),
        (error(E.OFFSET_METADATA_TOO_LARGE, abort=True), KafkaFailed,
            "cannot read topic t: reason (OFFSET_METADATA_TOO_LARGE); raise offset.metadata.max.bytes of the brokers to"
            " its default, 4096"),
        (error(E.INVALID_COMMIT_OFFSET_SIZE, abort=True), KafkaFailed, None),
        (error(E.UNSUPPORTED_FOR_MESSAGE_FORMAT, abort=True), KafkaFailed, None),
        (error(E.UNSUPPORTED_VERSION, abort=True), KafkaFailed, None),
        (error(E._UNSUPPORTED_FEATURE), KafkaFailed, None),
        # An abort of unknown cause.
        (error(E.UNKNOWN_MEMBER_ID, abort=True), TransactionAborted, "transaction aborted (reason)"),
    ],
)  # fmt: skip
def test_classify(given: KafkaError, kind: type[ClassifierError], message: str | None) -> None:
    found = classify(given, "read topic t", "x")
    assert type(found) is kind
    assert message is None or str(found) == message


@pytest.mark.parametrize(
    ("code", "passes"),
    [
        (E._TIMED_OUT, True),
        (E._MSG_TIMED_OUT, True),
        (E._TRANSPORT, True),
        (E.COORDINATOR_NOT_AVAILABLE, True),
        (E.INVALID_PRODUCER_EPOCH, True),
        (E.INVALID_PRODUCER_ID_MAPPING, True),
        (E.UNKNOWN_PRODUCER_ID, True),
        (E.CONCURRENT_TRANSACTIONS, True),
        (E.UNKNOWN_MEMBER_ID, False),
        (E.INVALID_TXN_STATE, False),
        (E.UNKNOWN, False),
    ],
)
def test_whether_the_cause_of_an_abort_passes(code: int, passes: bool) -> None:
    found = classify(error(code, abort=True), "read topic t")
    assert isinstance(found, TransactionAborted)
    assert found.passes is passes


def test_only_config_errors_have_exit_code_2() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    codes = {kind: kind.exit_code for kind in kinds if issubclass(kind, ClassifierError)}
    assert len(codes) > 10
    assert {kind for kind, code in codes.items() if code == 2} == {ConfigError}
    assert set(codes.values()) == {1, 2}
