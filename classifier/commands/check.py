"""--check: check connections, topics, permissions and schemas, one line each, without writing anything.

A line that is not ok contains what to do. The checks call the code that a start calls (topics, Kafka client, registry,
codecs), so that both report a problem in the same words.
"""

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]

from classifier.cells.codec import LABEL, NUM_USERS, CellCodec
from classifier.cells.headers import layout_problem, partitions_in
from classifier.commands.check_certificates import certificate_lines
from classifier.commands.check_line import Line, ok, to_do, unknown, without
from classifier.config.settings import Settings
from classifier.credentials import ENDPOINT, is_certificate_refused, uses_provider
from classifier.errors import (
    COORDINATOR_CODES,
    OTHER_GROUP_TYPE,
    UNKNOWN_TOPIC_CODES,
    ClassifierError,
    ConfigError,
    RecordError,
    SchemaError,
)
from classifier.features import DEFAULT_FEATURES, USER_ID
from classifier.formatting import format_count, format_duration, printable
from classifier.kafka.caught_up import CaughtUp
from classifier.kafka.client import CALL_TIMEOUT_SECONDS, Kafka
from classifier.kafka.diagnosis import COORDINATORS, replication_problem
from classifier.kafka.record import Record
from classifier.kafka.source import Topic, committed_offsets, last_records, partitions_of
from classifier.kafka.topics import compacted_topics, missing_topic_message, not_compacted_message, topic_operations
from classifier.outage import pause
from classifier.serialization.column_types import row_type_problem
from classifier.serialization.registry import MODE_ADVICE, MODES_WITHOUT_REGISTRATION, SchemaRegistry
from classifier.stop import StopRequest
from classifier.users.changelog import is_retraction, retraction_found
from classifier.users.duplicate_rows import duplicates_found, remedy
from classifier.users.input_features import (
    features_in,
    features_in_output,
    features_problem,
    find_features,
    input_schema,
)
from classifier.users.input_keys import InputKeys
from classifier.users.offset_metadata import n_duplicated_before
from classifier.users.output_codec import KeyCodec, LabelCodec
from classifier.users.progress import caught_up_before, confirmation_problem, other_output

WITHOUT_SUBJECT = {  # of the output
    "value": "does not exist yet; the first start registers it, which needs permission to write this subject",
    "key": "does not exist: keys are plain user_ids",
}
CODECS: dict[str, Callable[..., object]] = {"value": LabelCodec, "key": KeyCodec}
COORDINATOR_ATTEMPTS = 60  # RETRY_SECONDS apart: half a minute, as a coordinator may take to start in a new cluster
UNREACHABLE_CODES = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT}


def check(settings: Settings, kafka: Kafka, registry: SchemaRegistry) -> Iterator[Line]:
    """Yield a line for each check, as soon as it is made."""
    clients = {section: kafka.admin(section) for section in ("consumer", "producer")}
    yield from certificate_lines(settings)
    for section, client in clients.items():
        line = connection(client, section, settings, kafka)
        yield line
        if line.verdict != "ok":
            break
    else:
        yield from kafka_lines(clients, settings, kafka)
    yield from registry_lines(settings, registry, kafka)


def run(lines: Iterable[Line], echo: Callable[[str], object]) -> int:
    """Print every line and a conclusion; return the exit code."""
    n_to_do = 0
    for line in lines:
        n_to_do += line.verdict == "TO DO"
        echo(printable(str(line)))
    echo(f"{n_to_do} to do; then run --check again" if n_to_do else "ready")
    return 1 if n_to_do else 0


# ------------------------------------------------------------------------------------------------ Kafka


def connection(client: AdminClient, section: str, settings: Settings, kafka: Kafka) -> Line:
    """Check address, certificate and credentials of one section."""
    subject = f"[{section}] bootstrap.servers and credentials"
    properties: Mapping[str, str] = getattr(settings, section)
    try:
        n_brokers = len(kafka.cluster_metadata(client).brokers)
    except KafkaException as exception:
        error = exception.args[0]
        return to_do(
            subject, f"{kafka.classify(error, 'reach the brokers', section)}{connection_advice(error, properties)}"
        )
    protocol = properties.get("security.protocol", "plaintext").upper()
    return ok(subject, f"{format_count(n_brokers, 'broker')} reached by {protocol}")


def connection_advice(error: KafkaError, properties: Mapping[str, str]) -> str:
    """Return what to check if no broker can be reached; the message of a refused connection contains it already."""
    if error.code() not in UNREACHABLE_CODES or is_certificate_refused(error.str()):
        return ""
    provider = f", and {ENDPOINT}" if uses_provider(properties) else ""
    return f"; check host, port and security.protocol{provider}"


def kafka_lines(clients: Mapping[str, AdminClient], settings: Settings, kafka: Kafka) -> Iterator[Line]:
    """Check topics, group and transactional id; only if both connections are ok."""
    for topic, operations in topic_operations(settings).items():
        yield from topic_lines(clients, settings, topic, operations, kafka)
    if settings.cells:  # which commits no offsets
        yield from cell_layout_lines(settings, kafka)
    else:
        yield group_line(clients["consumer"], settings.group, kafka)
        yield from record_lines(settings, kafka)
    yield transaction_line(clients["producer"], settings)


def transaction_line(client: AdminClient, settings: Settings) -> Line:
    """Check that the brokers can keep transactions; whether they are permitted only a start can test."""
    subject = f"transactional id {settings.transactional_id}"
    problem = replication_problem(client, *COORDINATORS["transactional.id"])
    if problem:
        return to_do(subject, problem)
    permission = (
        "needs permission WRITE, which only a start can test; to grant it see docs/configuration.md, Permissions"
    )
    return unknown(subject, permission)


def topic_lines(
    clients: Mapping[str, AdminClient], settings: Settings, topic: str, operations: Collection[str], kafka: Kafka
) -> Iterator[Line]:
    """Check that a topic exists, that these operations on it are permitted, and that it is compacted if it must be."""
    subject = f"topic {topic}"
    allowed: dict[str, list[AclOperation] | None] = {}
    for operation in operations:
        client = clients["consumer" if operation == "READ" else "producer"]
        try:
            found = describe(client, topic)
        except KafkaException as exception:
            if exception.args[0].code() in UNKNOWN_TOPIC_CODES:
                yield to_do(subject, without(subject, missing_topic_message(topic, settings)))
            else:
                yield to_do(subject, kafka.explained(exception.args[0], f"{operation.lower()} topic {topic}"))
            return
        allowed[operation] = found.authorized_operations
    yield ok(subject, format_count(len(found.partitions), "partition"))
    for operation in operations:
        yield permission_line(subject, operation, allowed[operation])
    if topic in compacted_topics(settings):
        yield compaction_line(topic, settings, kafka)


def describe(client: AdminClient, topic: str) -> Any:
    """Return the description of a topic; KafkaException if it does not exist."""
    futures = client.describe_topics(
        TopicCollection([topic]), include_authorized_operations=True, request_timeout=CALL_TIMEOUT_SECONDS
    )
    return futures[topic].result()


def permission_line(subject: str, operation: str, allowed: Collection[AclOperation] | None) -> Line:
    """Check that an operation is among those that the broker reports as permitted."""
    subject = f"{subject}, permission {operation}"
    if allowed is None:
        return unknown(subject, "the broker does not report it")
    if {AclOperation[operation], AclOperation.ALL} & set(allowed):
        return ok(subject, "granted")
    return to_do(
        subject, f"missing; grant {operation} to the client's principal, see docs/configuration.md, Permissions"
    )


def compaction_line(topic: str, settings: Settings, kafka: Kafka) -> Line:
    """Check that the topic is compacted, so that users or cells without changes are kept."""
    subject = f"topic {topic}, cleanup.policy"
    policy = kafka.cleanup_policy(topic)
    if policy is None:
        return unknown(
            subject, f"needs permission DescribeConfigs; to check by hand: confluent kafka topic describe {topic}"
        )
    if policy == "compact":
        return ok(subject, policy)
    return to_do(subject, without(f"topic {topic} has cleanup.policy", not_compacted_message(topic, policy, settings)))


def group_line(client: AdminClient, group: str, kafka: Kafka) -> Line:
    """Check the permission to use the group, and that its id is not that of another type of group."""
    subject = f"group {group}"
    found = None
    try:
        found = describe_group(client, group, kafka.stop)
    except KafkaException as exception:
        if exception.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
            return to_do(subject, kafka.explained(exception.args[0], f"read group {group}"))
    if (found is None or found.state is ConsumerGroupState.DEAD) and is_listed(client, group):
        return to_do(subject, OTHER_GROUP_TYPE)
    if found is None:
        return unknown(subject, "does not exist before the first start, which needs permission READ")
    return permission_line(subject, "READ", found.authorized_operations)


def is_listed(client: AdminClient, group: str) -> bool:
    """Whether there is a group of any type with this id, as far as the brokers tell."""
    # list_consumer_groups, which is not deprecated, leaves out share groups.
    with warnings.catch_warnings(action="ignore"), contextlib.suppress(KafkaException):
        return bool(client.list_groups(group, CALL_TIMEOUT_SECONDS))
    return False


def describe_group(client: AdminClient, group: str, stop: StopRequest) -> Any:
    """Return the description of a group. A coordinator that does not answer yet is asked again."""

    def answer() -> Any:
        futures = client.describe_consumer_groups(
            [group], include_authorized_operations=True, request_timeout=CALL_TIMEOUT_SECONDS
        )
        return futures[group].result()

    for _ in range(COORDINATOR_ATTEMPTS - 1):
        try:
            return answer()
        except KafkaException as exception:
            if exception.args[0].code() not in COORDINATOR_CODES or stop.requested:
                raise
        pause()
    return answer()


def record_lines(settings: Settings, kafka: Kafka) -> Iterator[Line]:
    """Check the mode of the last input records, and what the last commit notes of the input, if there are any."""
    consumer = kafka.consumer()
    # A topic or group that cannot be read has a line already.
    with contextlib.closing(consumer), contextlib.suppress(KafkaException):
        partitions = partitions_of(consumer, settings.topic)
        if partitions and settings.changelog_mode != "retract":
            yield from mode_line(last_records(consumer, settings.topic, partitions), settings)
        wanted = [TopicPartition(settings.topic, partition) for partition in partitions]
        committed = committed_offsets(consumer, wanted) if wanted else []
        problem = other_output(committed, settings)
        if problem:
            yield to_do(f"group {settings.group}, offsets", without(f"group {settings.group}", problem))
            return
        n_several = n_duplicated_before(committed)
        if n_several is not None:
            yield several_line(settings.topic, n_several)
        if n_several is not None and settings.changelog_mode == "upsert":
            yield from tombstone_lines(Topic(kafka, consumer, settings.topic), settings, committed)


def cell_layout_lines(settings: Settings, kafka: Kafka) -> Iterator[Line]:
    """Check that the output of --cells has the partitions that it had when its labels were written, if it has any."""
    consumer = kafka.consumer()
    # A topic that cannot be read has a line already.
    with contextlib.closing(consumer), contextlib.suppress(KafkaException):
        partitions = partitions_of(consumer, settings.output)
        n_before = None
        for record in last_records(consumer, settings.output, partitions, n_offsets=None):
            n_before = partitions_in(record.headers()) or n_before
        if n_before is None:
            return
        subject = f"topic {settings.output}, partitions"
        problem = layout_problem(settings.output, n_before, len(partitions))
        yield to_do(subject, problem) if problem else ok(subject, "as when its labels were written")


def mode_line(records: Iterable[Record], settings: Settings) -> Iterator[Line]:
    """Check that no record retracts a row, as those of retract changelogs do."""
    subject = f"topic {settings.topic}, --changelog-mode {settings.changelog_mode}"
    message = next((each for each in records if each.value() is not None and is_retraction(each.headers())), None)
    if message is not None:
        yield to_do(subject, f"{retraction_found(message)}; run with --changelog-mode retract")


def several_line(topic: str, n_users: int) -> Line:
    """Check that each user had one row at the last commit."""
    subject = f"topic {topic}, rows per user"
    if n_users:
        return to_do(subject, f"{duplicates_found(n_users)}; {remedy(topic)}")
    return ok(subject, "one at the last commit")


def tombstone_lines(topic: Topic, settings: Settings, committed: Collection[TopicPartition]) -> Iterator[Line]:
    """Check that compaction has removed no tombstone that the client has not read, if the last commit tells."""
    subject = f"topic {topic.name}, tombstones"
    caught_up = CaughtUp(topic)
    caught_up.begin(caught_up_before(committed))
    if caught_up.at is None or math.isinf(caught_up.retention_seconds):
        return
    if not caught_up.is_too_old:
        ago = format_duration(time.time() - caught_up.at)
        stay = format_duration(caught_up.retention_seconds)
        yield ok(subject, f"kept for {stay} (delete.retention.ms); the client last read all of them {ago} ago")
        return
    problem = confirmation_problem(topic, settings, [at.partition for at in committed], caught_up)
    if problem is None:
        yield ok(subject, f"{caught_up}; the next start reads the topic from its beginning to find them")
    else:
        yield to_do(subject, problem.text) if problem.is_certain else unknown(subject, problem.text)


# ------------------------------------------------------------------------------------- Schema Registry


def registry_lines(settings: Settings, registry: SchemaRegistry, kafka: Kafka) -> Iterator[Line]:
    """Check the registry and the subjects that the client uses."""
    subject = "[schema_registry] url and credentials"
    try:
        subjects = registry.subjects()
        lines = list(cell_lines(settings, registry) if settings.cells else user_lines(settings, registry, kafka))
    except ClassifierError as error:
        yield to_do(subject, str(error))
    else:
        unlisted = "accepted; the account has no permission to list all subjects, and needs none"
        yield ok(subject, unlisted if subjects is None else format_count(len(subjects), "subject"))
        yield from lines


def user_lines(settings: Settings, registry: SchemaRegistry, kafka: Kafka) -> Iterator[Line]:
    """Check the subjects of users and their labels."""
    yield input_line(settings.topic, registry, kafka, settings.feature_names)
    if settings.changelog_mode == "upsert":
        yield input_key_line(settings.topic, registry)
    try:
        features = find_features(settings, kafka, registry)
    except (ConfigError, SchemaError):  # as the line of the input says
        features = features_in_output(settings, registry)
    yield output_line(settings.output, "value", registry, features=features, replaces_others=settings.rebuild)
    yield output_line(settings.output, "key", registry)


def cell_lines(settings: Settings, registry: SchemaRegistry) -> Iterator[Line]:
    """Check the subjects of cells and their labels (--cells)."""
    for topic, column in ((settings.topic, NUM_USERS), (settings.output, LABEL)):
        subject = f"subjects {topic}-key and {topic}-value"
        try:
            CellCodec(registry, topic, column)
            yield ok(subject, f"cell, {column}")
        except (RecordError, SchemaError) as error:
            yield to_do(subject, without(subject, str(error)))


def input_line(topic: str, registry: SchemaRegistry, kafka: Kafka, names: tuple[str, ...] = DEFAULT_FEATURES) -> Line:
    """Check that the schema of the input has the fields of a row: the latest one, or that of the last record."""
    subject = f"subject {topic}-value"
    where = ""
    try:
        found, schema = input_schema(topic, kafka, registry)
        if schema is None:
            return to_do(subject, "does not exist; write to the topic once, or run the SQL statement that creates it")
        where = "" if found == subject else f"does not exist; {found}: "
        complaint = features_problem(names, schema)
        complaint = complaint or row_type_problem(schema, features_in(names, schema))
    except (RecordError, SchemaError) as error:
        complaint = without(subject, str(error))
    if complaint:
        advice = "" if ";" in complaint else "; read another topic with -t"
        return to_do(subject, f"{where}{complaint}{advice}")
    return ok(subject, where + ", ".join((USER_ID, *names)))


def input_key_line(topic: str, registry: SchemaRegistry) -> Line:
    """Check that the keys of an upsert input contain the user_id."""
    subject = f"subject {topic}-key"
    try:
        return ok(subject, str(InputKeys(registry, topic)))
    except SchemaError as error:
        return to_do(subject, without(subject, str(error)))


def output_line(topic: str, part: str, registry: SchemaRegistry, **options: Any) -> Line:
    """Check that the client can read and write the schema of a subject of the output."""
    subject = f"subject {topic}-{part}"
    try:
        CODECS[part](registry, topic, **options)
        if registry.newest(f"{topic}-{part}") is None:
            mode = registry.mode(f"{topic}-{part}") if part == "value" else None
            if mode in MODES_WITHOUT_REGISTRATION:
                return to_do(subject, f"does not exist, and no start can register it in mode {mode}; {MODE_ADVICE}")
            return ok(subject, WITHOUT_SUBJECT[part])
    except (RecordError, SchemaError) as error:
        return to_do(subject, without(subject, str(error)))
    return ok(subject, "fits")
