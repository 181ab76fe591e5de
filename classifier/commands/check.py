"""Looks at everything the client needs, writes nothing, and says per line ok or what to do (--check).

What a start would do and say comes from the rooms that do and say it there: topics, kafka, registry, keys, labels.
"""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]

from classifier.cells.codec import LABEL, NUM_USERS, CellCodec
from classifier.config.settings import Settings
from classifier.errors import REFUSED_CERTIFICATE, UNKNOWN_TOPIC_CODES, ClassifierError, RecordError, SchemaError
from classifier.formatting import format_count
from classifier.kafka.client import CALL_TIMEOUT_SECONDS, Kafka
from classifier.kafka.record import Record
from classifier.kafka.source import committed_offsets, last_records, partitions_of
from classifier.kafka.topics import compacted_topics, missing_topic_message, not_compacted_message, topic_operations
from classifier.row import ROW_FIELDS
from classifier.serialization.column_types import row_type_problem
from classifier.serialization.registry import SchemaRegistry
from classifier.users.changelog import retract_changelog, takes_back
from classifier.users.duplicate_rows import cure, n_duplicated_before, several
from classifier.users.input_keys import InputKeys
from classifier.users.output_codec import KeyCodec, LabelCodec

IF_MISSING = {  # subject of the output
    "value": "not there yet; the first start registers it, which takes the right to write this subject",
    "key": "none: keys are plain user_ids",
}
CODECS: dict[str, Callable[[SchemaRegistry, str], object]] = {"value": LabelCodec, "key": KeyCodec}
UNREACHED = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT}


class Line(NamedTuple):
    """The outcome of one check."""

    verdict: str
    subject: str
    finding: str

    def __str__(self) -> str:
        return f"{self.verdict:<7} {self.subject}: {self.finding}"


def ok(subject: str, finding: str) -> Line:
    """Report what is as it should be."""
    return Line("ok", subject, finding)


def unseen(subject: str, finding: str) -> Line:
    """Report what cannot be looked at without writing, or without a right that the client itself does not need."""
    return Line("unseen", subject, finding)


def to_do(subject: str, finding: str) -> Line:
    """Report what has to be mended, and how."""
    return Line("TO DO", subject, finding)


def check(settings: Settings, kafka: Kafka, registry: SchemaRegistry) -> Iterator[Line]:
    """Yield a line per check, as it is made."""
    clients = {section: kafka.admin(section) for section in ("consumer", "producer")}
    for section, client in clients.items():
        line = connection(client, section, settings, kafka)
        yield line
        if line.verdict != "ok":
            break
    else:
        yield from kafka_lines(clients, settings, kafka)
    yield from registry_lines(settings, registry)


def run(lines: Iterable[Line], echo: Callable[[str], object]) -> int:
    """Echo every line and a last one; return the exit code."""
    n_to_do = 0
    for line in lines:
        n_to_do += line.verdict == "TO DO"
        echo(str(line))
    echo(f"{n_to_do} to do; run --check again then" if n_to_do else "ready")
    return 1 if n_to_do else 0


# ------------------------------------------------------------------------------------------------ Kafka


def connection(client: AdminClient, section: str, settings: Settings, kafka: Kafka) -> Line:
    """Check address, certificate and credentials of one section."""
    subject = f"[{section}] bootstrap.servers and credentials"
    try:
        n_brokers = len(kafka.cluster_metadata(client).brokers)
    except KafkaException as exception:
        error = exception.args[0]
        return to_do(subject, f"{kafka.classify(error, 'reach the brokers')}{connection_advice(error)}")
    properties: Mapping[str, str] = getattr(settings, section)
    protocol = properties.get("security.protocol", "plaintext").upper()
    return ok(subject, f"{format_count(n_brokers, 'broker')} reached by {protocol}")


def connection_advice(error: KafkaError) -> str:
    """Say what to look at when a broker cannot be reached; refusals are explained already."""
    if error.code() not in UNREACHED or REFUSED_CERTIFICATE in error.str():
        return ""
    return "; check host, port and security.protocol"


def kafka_lines(clients: Mapping[str, AdminClient], settings: Settings, kafka: Kafka) -> Iterator[Line]:
    """Check what can only be asked of brokers that are reached."""
    for topic, operations in topic_operations(settings).items():
        yield from topic_lines(clients, settings, topic, operations, kafka)
    if not settings.cells:  # which commit no offsets
        yield group_line(clients["consumer"], settings.group, kafka)
        yield from record_lines(settings, kafka)
    yield unseen(
        f"transactional id {settings.transactional_id}",
        "needs WRITE, which shows at the first start only; to allow it see docs/configuration.md, Permissions",
    )


def topic_lines(
    clients: Mapping[str, AdminClient], settings: Settings, topic: str, operations: Collection[str], kafka: Kafka
) -> Iterator[Line]:
    """Check that a topic is there, may be used, and keeps what a start has to find in it."""
    subject = f"topic {topic}"
    allowed: dict[str, list[AclOperation] | None] = {}
    for operation in operations:
        client = clients["consumer" if operation == "READ" else "producer"]
        try:
            found = described(client, topic)
        except KafkaException as exception:
            if exception.args[0].code() in UNKNOWN_TOPIC_CODES:
                yield to_do(subject, without(subject, missing_topic_message(topic, settings)))
            else:
                yield to_do(subject, str(kafka.classify(exception.args[0], f"{operation.lower()} topic {topic}")))
            return
        allowed[operation] = found.authorized_operations
    yield ok(subject, format_count(len(found.partitions), "partition"))
    yield from (right_line(subject, operation, allowed[operation]) for operation in operations)
    if topic in compacted_topics(settings):
        yield compaction_line(topic, settings, kafka)


def described(client: AdminClient, topic: str) -> Any:
    """Return the description of a topic; KafkaException where there is none."""
    futures = client.describe_topics(
        TopicCollection([topic]), include_authorized_operations=True, request_timeout=CALL_TIMEOUT_SECONDS
    )
    return futures[topic].result()


def right_line(subject: str, operation: str, allowed: Collection[AclOperation] | None) -> Line:
    """Compare a right with those that the broker tells of."""
    subject = f"{subject}, right to {operation}"
    if allowed is None:
        return unseen(subject, "the broker does not tell")
    if {AclOperation[operation], AclOperation.ALL} & set(allowed):
        return ok(subject, "granted")
    return to_do(
        subject, f"missing; grant {operation} to the client's principal, see docs/configuration.md, Permissions"
    )


def compaction_line(topic: str, settings: Settings, kafka: Kafka) -> Line:
    """Check that what is known of quiet users or cells is kept."""
    subject, policy = f"topic {topic}, cleanup.policy", kafka.cleanup_policy(topic)
    if policy is None:
        return unseen(subject, f"takes the right DescribeConfigs; by hand: confluent kafka topic describe {topic}")
    if policy == "compact":
        return ok(subject, policy)
    return to_do(subject, without(f"topic {topic} has cleanup.policy", not_compacted_message(topic, policy, settings)))


def group_line(client: AdminClient, group: str, kafka: Kafka) -> Line:
    """Check the right to keep offsets."""
    subject = f"group {group}"
    futures = client.describe_consumer_groups(
        [group], include_authorized_operations=True, request_timeout=CALL_TIMEOUT_SECONDS
    )
    try:
        found = futures[group].result()
    except KafkaException as exception:
        if exception.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return unseen(subject, "not there before the first start, which takes the right to READ it")
        return to_do(subject, str(kafka.classify(exception.args[0], f"read group {group}")))
    return right_line(subject, "READ", found.authorized_operations)


def record_lines(settings: Settings, kafka: Kafka) -> Iterator[Line]:
    """Check what the last records of the input say, and the marks that a run has left; nothing where there are none."""
    consumer = kafka.consumer()
    # What cannot be read is told by the lines of topic and group.
    with contextlib.closing(consumer), contextlib.suppress(KafkaException):
        partitions = partitions_of(consumer, settings.topic)
        if partitions and settings.changelog_mode != "retract":
            yield from mode_line(last_records(consumer, settings.topic, partitions), settings)
        places = [TopicPartition(settings.topic, partition) for partition in partitions]
        if (n_several := n_duplicated_before(committed_offsets(consumer, places) if places else [])) is not None:
            yield several_line(settings.topic, n_several)


def mode_line(records: Iterable[Record], settings: Settings) -> Iterator[Line]:
    """Check that no record takes a row back, which is what retract changelogs do."""
    subject = f"topic {settings.topic}, --changelog-mode {settings.changelog_mode}"
    message = next((each for each in records if each.value() is not None and takes_back(each.headers())), None)
    if message is not None:
        yield to_do(subject, f"{retract_changelog(message)}; run with --changelog-mode retract")


def several_line(topic: str, n_users: int) -> Line:
    """Check that each user had one row at the last commit."""
    subject = f"topic {topic}, rows of a user"
    return to_do(subject, f"{several(n_users)}; {cure(topic)}") if n_users else ok(subject, "one, at the last commit")


# ------------------------------------------------------------------------------------- Schema Registry


def registry_lines(settings: Settings, registry: SchemaRegistry) -> Iterator[Line]:
    """Check the registry and the subjects that the client reads."""
    subject = "[schema_registry] url and credentials"
    try:
        subjects = registry.subjects()
        found = [*(cell_lines if settings.cells else user_lines)(settings, registry)]
    except ClassifierError as error:
        yield to_do(subject, str(error))
    else:
        may_not = "accepted; the account may not list all subjects, which it need not"
        yield ok(subject, may_not if subjects is None else format_count(len(subjects), "subject"))
        yield from found


def user_lines(settings: Settings, registry: SchemaRegistry) -> Iterator[Line]:
    """Check the subjects of users and their labels."""
    yield input_line(settings.topic, registry)
    if settings.changelog_mode == "upsert":
        yield input_key_line(settings.topic, registry)
    yield from (output_line(settings.output, part, registry) for part in CODECS)


def cell_lines(settings: Settings, registry: SchemaRegistry) -> Iterator[Line]:
    """Check the subjects of cells and their labels (--cells)."""
    for topic, column in ((settings.topic, NUM_USERS), (settings.output, LABEL)):
        subject = f"subjects {topic}-key and {topic}-value"
        try:
            CellCodec(registry, topic, column)
            yield ok(subject, f"cell, {column}")
        except (RecordError, SchemaError) as error:
            yield to_do(subject, without(subject, str(error)))


def input_line(topic: str, registry: SchemaRegistry) -> Line:
    """Check that the newest schema of the input has the fields of a row."""
    subject = f"subject {topic}-value"
    try:
        found = registry.newest(f"{topic}-value")
    except (RecordError, SchemaError) as error:
        return to_do(subject, f"{without(subject, str(error))}; read another topic with -t")
    if found is None:
        return to_do(subject, "does not exist; write to the topic once, or run the SQL statement that makes it")
    complaint = row_type_problem(found.schema)
    if complaint:
        return to_do(subject, complaint if ";" in complaint else f"{complaint}; read another topic with -t")
    return ok(subject, ", ".join(ROW_FIELDS))


def input_key_line(topic: str, registry: SchemaRegistry) -> Line:
    """Check that the keys of an upsert input name users."""
    subject = f"subject {topic}-key"
    try:
        return ok(subject, str(InputKeys(registry, topic)))
    except SchemaError as error:
        return to_do(subject, without(subject, str(error)))


def output_line(topic: str, part: str, registry: SchemaRegistry) -> Line:
    """Check that the client can read and write what a subject of the output asks for."""
    subject = f"subject {topic}-{part}"
    try:
        CODECS[part](registry, topic)
        if registry.newest(f"{topic}-{part}") is None:
            return ok(subject, IF_MISSING[part])
    except (RecordError, SchemaError) as error:
        return to_do(subject, without(subject, str(error)))
    return ok(subject, "fits")


def without(beginning: str, message: str) -> str:
    """Return the rest of a message whose beginning the line has said already."""
    return message.removeprefix(f"{beginning} ")
