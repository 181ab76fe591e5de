"""Errors of the client, and the function that maps each error of the Kafka client library to one of them.

Every error descends from `ClassifierError`. Its text is one line: what happened, where, and what to do next. `main`
prints it and exits with its exit code.
"""

import traceback
from collections.abc import Mapping

from confluent_kafka import KafkaError

from classifier.credentials import (
    authentication_advice,
    certificate_advice,
    is_certificate_refused,
    provider_is_away,
)


class ClassifierError(Exception):
    """Base class of all errors; `main` prints it as one line.

    ClassifierError
    |-- ConfigError          wrong command line or configuration file; exit code 2
    |-- TopicMissing         a topic does not exist
    |-- AccessDenied         wrong credentials, or a missing permission
    |-- SchemaError          a schema does not fit
    |-- RecordError          one record cannot be read
    |   `-- SchemaMissing
    |-- StateError           the state, or --changelog-mode, does not fit the topics; mostly --rebuild
    |-- RestoreNeeded        discard the state, restore it, continue
    |   |-- TransactionAborted
    |   `-- TopicsChanged
    |-- ProducerFenced       a newer instance took over; stop
    |-- BrokerUnavailable    no broker answers; retry
    |-- RegistryUnavailable  the Schema Registry does not answer; retry
    |-- CannotListen         the port of the metrics is in use
    `-- KafkaFailed          any other Kafka error; stop
    """

    exit_code = 1


class ConfigError(ClassifierError):
    """Raised for a wrong option, configuration file, property or environment variable."""

    exit_code = 2


class TopicMissing(ClassifierError):
    """Raised if a topic does not exist: at the start, at a restore, or when a call names an unknown topic."""


class AccessDenied(ClassifierError):
    """Raised for wrong credentials, an untrusted certificate, or a missing permission (ACL)."""


class SchemaError(ClassifierError):
    """Raised if the Schema Registry cannot be used, or the subject of the output has another schema."""


class RecordError(ClassifierError):
    """Raised for one record that cannot be read; --error-handling-mode decides whether the client stops."""


class SchemaMissing(RecordError):
    """Raised for a record whose schema id or GUID is not in the Schema Registry."""


class StateError(ClassifierError):
    """Raised if offsets, output and input do not belong together, or the input does not fit --changelog-mode.

    The first is found at a restore or by a command that reads the output, the second while the input is read. The
    message has the advice, mostly --rebuild.
    """


class RestoreNeeded(ClassifierError):
    """Raised if the state in memory may no longer match what is committed. The run loop restores and continues."""


class TransactionAborted(RestoreNeeded):
    """Raised if the transaction of a step was aborted: nothing of its last part is committed."""

    def __init__(self, message: str, *, passes: bool = False) -> None:
        """`passes` is whether the cause is known to pass by itself, as an outage or a time-out does."""
        super().__init__(message)
        self.passes = passes


class TopicsChanged(RestoreNeeded):
    """Raised if a topic was deleted, recreated, or got new partitions since the restore."""


class ProducerFenced(ClassifierError):
    """Raised if a newer instance with the same transactional.id took over."""


class BrokerUnavailable(ClassifierError):
    """Raised for errors that pass by themselves; `Kafka.call` retries them until a stop is requested."""


class RegistryUnavailable(ClassifierError):
    """Raised if the Schema Registry has never answered, or is away when a stop is requested; otherwise retried."""


class CannotListen(ClassifierError):
    """Raised if the metrics cannot be served now, but may be at the next start."""


class KafkaFailed(ClassifierError):
    """Raised for all other errors of the Kafka client library: retrying would not help."""


# Codes of librdkafka (with an underscore) and of brokers, by what they mean for the client.
FENCED_CODES = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
UNKNOWN_TOPIC_CODES = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
}
DENIED_CODES = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
CLOCK_ADVICE = (
    "check the clock of this machine: the topic refuses a record whose timestamp differs from the broker's time by more"
    " than message.timestamp.before.max.ms or message.timestamp.after.max.ms"
)
OTHER_GROUP_TYPE = "a group of another type, such as a share group, has this id; choose another group with -g"
TOO_OLD = "the brokers are too old, or set to an old message format; upgrade them"
# Refused for good: the same request would be refused again, also in a new transaction. With what to do about it.
REFUSED_CODES = {
    KafkaError.MSG_SIZE_TOO_LARGE: "raise message.max.bytes in [producer] and max.message.bytes of the topic",
    KafkaError.RECORD_LIST_TOO_LARGE: "lower batch.size in [producer], or raise segment.bytes of the topic",
    KafkaError.INVALID_RECORD: f"{CLOCK_ADVICE}; a compacted topic also refuses records without a key",
    KafkaError.INVALID_TIMESTAMP: CLOCK_ADVICE,
    KafkaError.POLICY_VIOLATION: "see the brokers' log for the policy",
    KafkaError.TOPIC_EXCEPTION: "check the name of the topic",
    KafkaError.GROUP_ID_NOT_FOUND: OTHER_GROUP_TYPE,
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: OTHER_GROUP_TYPE,
    KafkaError.INVALID_GROUP_ID: "choose another group with -g",
    KafkaError.OFFSET_METADATA_TOO_LARGE: "raise offset.metadata.max.bytes of the brokers to its default, 4096",
    KafkaError.INVALID_COMMIT_OFFSET_SIZE: "raise max.message.bytes of the topic __consumer_offsets",
    KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT: TOO_OLD,
    KafkaError.UNSUPPORTED_VERSION: TOO_OLD,
    KafkaError._UNSUPPORTED_FEATURE: TOO_OLD,
}
SMALLER_BATCHES = "lower batch.size in [producer], or raise max.message.bytes of the topic: the batch was too large"
# Outages, and answers of brokers that start, elect a leader or stop. Only transactional calls mark them retriable.
RETRIABLE_CODES = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._DESTROY_BROKER,  # the broker left the cluster while the request was in flight
    KafkaError._NODE_UPDATE,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._RESOLVE,
    KafkaError._WAIT_CACHE,
    KafkaError._WAIT_COORD,
    KafkaError._RETRY,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.NOT_CONTROLLER,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.THROTTLING_QUOTA_EXCEEDED,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
}
# Of an abort: an outage, or a transaction or record that timed out.
PASSING_ABORT_CODES = RETRIABLE_CODES | {
    KafkaError._MSG_TIMED_OUT,
    KafkaError.CONCURRENT_TRANSACTIONS,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
    KafkaError.UNKNOWN_PRODUCER_ID,
}
COORDINATOR_CODES = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}


def classify(
    error: KafkaError, action: str, transactional_id: str = "", properties: Mapping[str, object] | None = None
) -> ClassifierError:
    """Return the client's error for an error of the Kafka client library.

    Parameters
    ----------
    action : what failed, by the name of the permission it needs: "read topic x". For the message.
    transactional_id : for the message of ProducerFenced.
    properties : of the client, for advice about credentials.

    Notes
    -----
    The order of the checks matters: a fenced producer may also have to abort, and an abort may have any cause.

    1. ProducerFenced, unless the transaction only has to be aborted (a timeout has the same code).
    2. AccessDenied for a missing permission, also one that aborts the transaction.
    3. KafkaFailed for what the brokers refuse for good, also if it aborts the transaction.
    4. TransactionAborted if librdkafka says so.
    5. AccessDenied for credentials and certificates, TopicMissing, BrokerUnavailable, by code.
    6. KafkaFailed for the rest, and for all fatal errors.
    """
    text = error.str()
    if error.code() in FENCED_CODES and not error.txn_requires_abort():
        return ProducerFenced(
            f"transactional.id '{transactional_id}' was taken over by a newer user_classifier; this one stops"
        )
    if error.code() in DENIED_CODES:
        return AccessDenied(
            f"not allowed to {action} ({text}); grant this permission, see docs/configuration.md, Permissions"
        )
    if error.code() in REFUSED_CODES:
        return KafkaFailed(f"cannot {action}: {text} ({error.name()}); {REFUSED_CODES[error.code()]}")
    if error.txn_requires_abort():
        return aborted(error)
    properties = properties or {}
    if error.code() == KafkaError._AUTHENTICATION:
        advice = authentication_advice(text, properties)
        if provider_is_away(text):
            return BrokerUnavailable(f"cannot {action}: {text}; {advice}")
        return AccessDenied(f"{text}; {advice}")
    # A handshake that breaks during a write, or after it, is reported as a broken connection.
    if error.code() == KafkaError._SSL or is_certificate_refused(text):
        return AccessDenied(f"{text}; {certificate_advice(text, properties)}")
    if error.code() in UNKNOWN_TOPIC_CODES:
        return TopicMissing(f"cannot {action}: {text}; run with --check to see what is missing and how to create it")
    if not error.fatal() and (error.retriable() or error.code() in RETRIABLE_CODES):
        return BrokerUnavailable(f"cannot {action}: {text}")
    advice = "start again; if it fails the same way, add --log-level DEBUG and read the last lines of the log"
    return KafkaFailed(f"cannot {action}: {text} ({error.name()}); {advice}")


def aborted(error: KafkaError) -> TransactionAborted:
    """Return the client's error for an error that aborted a transaction."""
    return TransactionAborted(f"transaction aborted ({error.str()})", passes=error.code() in PASSING_ABORT_CODES)


def clear_frames(error: BaseException) -> None:
    """Clear the local variables of all frames in an error's traceback, and in those of the errors before it.

    The frames hold the tables they worked on. A frame that holds its own error is part of a reference cycle, and
    garbage collection is off while records arrive.
    """
    current: BaseException | None = error
    while current is not None:
        traceback.clear_frames(current.__traceback__)
        current = current.__context__
