"""What can go wrong, and the one function that tells which of it a Kafka error is.

Every error of the client descends from `ClassifierError`; its text is one line that says what, where, and what to do
next. `main` prints it and ends with its exit code.
"""

import traceback

from confluent_kafka import KafkaError


class ClassifierError(Exception):
    """Root of everything that can go wrong; `main` prints it as one line.

    ClassifierError
    |-- ConfigError          the command line or the file is wrong: exit code 2
    |-- TopicMissing         a topic does not exist
    |-- AccessDenied         credentials or rights are missing
    |-- SchemaError          a schema does not fit
    |-- RecordError          one record cannot be read
    |-- StateError           offsets and `user_labeling` do not belong together: --rebuild
    |-- RestoreNeeded        throw the state away, restore, go on
    |   |-- TransactionAborted
    |   `-- TopicsChanged
    |-- ProducerFenced       a newer instance took over: stop
    |-- BrokerUnavailable    no broker answers: try again
    |-- RegistryUnavailable  the Schema Registry does not answer: try again
    `-- KafkaFailed          anything else that Kafka says: stop
    """

    exit_code = 1


class ConfigError(ClassifierError):
    exit_code = 2


class TopicMissing(ClassifierError):
    pass


class AccessDenied(ClassifierError):
    pass


class SchemaError(ClassifierError):
    pass


class RecordError(ClassifierError):
    pass


class StateError(ClassifierError):
    pass


class RestoreNeeded(ClassifierError):
    pass


class TransactionAborted(RestoreNeeded):
    pass


class TopicsChanged(RestoreNeeded):
    pass


class ProducerFenced(ClassifierError):
    pass


class BrokerUnavailable(ClassifierError):
    pass


class RegistryUnavailable(ClassifierError):
    pass


class KafkaFailed(ClassifierError):
    pass


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
REFUSED_CODES = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.POLICY_VIOLATION}
# Outages, and what brokers say while they start, elect or restart; only transactional calls mark it as retriable.
RETRIABLE_CODES = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._DESTROY_BROKER,  # a broker that went is forgotten while it is being asked
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


REFUSED_CERTIFICATE = "certificate verify failed"
CHECK_CERTIFICATE = (
    "check that ssl.ca.location holds the authority that signed the broker's certificate, that the certificate is for"
    " the host in bootstrap.servers, and that it has not expired"
)


def clear_frames(error: BaseException) -> None:
    """Empty the calls that an error has ended, and those of errors before it: they hold what they worked on.

    An error that a call knows by name is part of a cycle, and nobody looks for these while records stream in.
    """
    ended: BaseException | None = error
    while ended is not None:
        traceback.clear_frames(ended.__traceback__)
        ended = ended.__context__


def classify(error: KafkaError, doing: str, transactional_id: str = "") -> ClassifierError:
    """Turn what the Kafka client says into the one error that says what to do about it.

    `doing` names the action and, by that, the right it takes: "read topic x".
    """
    if error.code() in FENCED_CODES and not error.txn_requires_abort():
        return ProducerFenced(
            f"transactional.id '{transactional_id}' was taken over by a newer user_classifier; this one stops"
        )
    if error.code() in DENIED_CODES:
        return AccessDenied(
            f"not allowed to {doing} ({error.str()}); grant this permission, see docs/configuration.md, Permissions"
        )
    if error.txn_requires_abort():
        return TransactionAborted(f"transaction aborted ({error.str()})")
    if error.code() == KafkaError._AUTHENTICATION:
        return AccessDenied(f"{error.str()}; check security.protocol, sasl.mechanisms, sasl.username and sasl.password")
    # Where the handshake breaks while something is sent, the same is told as a broken connection.
    if error.code() == KafkaError._SSL or REFUSED_CERTIFICATE in error.str():
        return AccessDenied(f"{error.str()}; {CHECK_CERTIFICATE}")
    if error.code() in UNKNOWN_TOPIC_CODES:
        return TopicMissing(
            f"cannot {doing}: {error.str()}; run with --check to see what is missing and how to create it"
        )
    if not error.fatal() and (error.retriable() or error.code() in RETRIABLE_CODES):
        return BrokerUnavailable(f"cannot {doing}: {error.str()}")
    advice = "; start again; if it fails the same way, add --log-level DEBUG and read the last lines of the log"
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        advice = "; raise message.max.bytes in [producer] and max.message.bytes of the topic"
    return KafkaFailed(f"cannot {doing}: {error.str()} ({error.name()}){advice}")
