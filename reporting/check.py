"""Looks at everything the client needs, writes nothing, and says per line ok or what to do (--check)."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient, ConfigResource  # type: ignore[attr-defined]
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.common._httpx_compat import httpx
from confluent_kafka.schema_registry.error import SchemaRegistryError

from reporting.text import n_of

CONNECT_ATTEMPTS = 15  # of a second each, until the first answer of the brokers
CALL_SECONDS = 5.0
INPUT_FIELDS = {
    "user_id": {"string"},
    "total_amount": {"double", "float", "int", "long"},
    "num_transactions": {"int", "long"},
}
OUTPUT_FIELDS = {
    "user_id": {"string"},
    "total_amount": {"double"},
    "num_transactions": {"long"},
    "label": {"int", "long"},
}
KEY_FIELDS = {"user_id": {"string"}}
UNREACHED = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT}
MISSING = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}


class Settings(Protocol):
    """What is to be checked."""

    @property
    def consumer(self) -> Mapping[str, str]: ...
    @property
    def producer(self) -> Mapping[str, str]: ...
    @property
    def topic(self) -> str: ...
    @property
    def output(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def transactional_id(self) -> str: ...
    @property
    def error_handling_mode(self) -> str: ...
    @property
    def error_handling_log_target(self) -> str: ...


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


class Clients(NamedTuple):
    """Made by the caller, with the credentials of the section each is named after."""

    consumer: AdminClient
    producer: AdminClient
    registry: SchemaRegistryClient


Explain = Callable[[KafkaError, str], Exception]  # (error, what was tried) -> an error whose text says what to do


def check(
    clients: Clients,
    settings: Settings,
    explain: Explain,
    last_error: Callable[[], KafkaError | None] = lambda: None,
    sql_of: Mapping[str, str] | None = None,
) -> Iterator[Line]:
    """Yield a line per check, as it is made.

    Parameters
    ----------
    clients : Clients
    settings : Settings
    explain : callable
        Turns an error and what was being done ("read topic x") into an error with advice.
    last_error : callable
        The last error that the clients told their `error_cb`: it knows more than a time-out does.
    sql_of : mapping of str to str
        What makes a topic: {"user_labeling": "run sql/5_create_user_labeling.sql"}.
    """
    reached = [connection(clients.consumer, "consumer", settings, explain, last_error)]
    reached += (
        [connection(clients.producer, "producer", settings, explain, last_error)] if reached[0].verdict == "ok" else []
    )
    yield from reached
    if all(line.verdict == "ok" for line in reached):
        for topic, operations in roles(settings).items():
            yield from topic_lines(clients, settings, topic, operations, explain, sql_of or {})
        yield group_line(clients.consumer, settings.group, explain)
        yield unseen(
            f"transactional id {settings.transactional_id}",
            "needs WRITE, which shows at the first start only; to allow it see README, Rights",
        )
    yield from registry_lines(clients.registry, settings)


def run(lines: Iterable[Line], echo: Callable[[str], object]) -> int:
    """Echo every line and a last one; return the exit code."""
    n_to_do = 0
    for line in lines:
        n_to_do += line.verdict == "TO DO"
        echo(str(line))
    echo(f"{n_to_do} to do; run --check again then" if n_to_do else "ready")
    return 1 if n_to_do else 0


# ------------------------------------------------------------------------------------------------ Kafka


def connection(
    client: AdminClient, section: str, settings: Settings, explain: Explain, last_error: Callable[[], KafkaError | None]
) -> Line:
    """Check address, certificate and credentials of one section."""
    subject = f"[{section}] bootstrap.servers and credentials"
    try:
        n_brokers = count_brokers(client, last_error)
    except KafkaException as exception:
        error = exception.args[0]
        return to_do(subject, f"{explain(error, 'reach the brokers')}{connection_advice(error)}")
    properties: Mapping[str, str] = getattr(settings, section)
    protocol = properties.get("security.protocol", "plaintext").upper()
    return ok(subject, f"{n_of(n_brokers, 'broker')} reached by {protocol}")


def count_brokers(client: AdminClient, last_error: Callable[[], KafkaError | None]) -> int:
    """Return the number of brokers; KafkaException with what the client said about its failure to reach one."""
    for _ in range(CONNECT_ATTEMPTS):
        try:
            return len(client.list_topics(timeout=1.0).brokers)
        except KafkaException as exception:
            client.poll(0)  # lets it tell its error_cb
            error = last_error() or exception.args[0]
            if error.code() not in UNREACHED:
                break  # a refused password stays refused
    raise KafkaException(error)


def connection_advice(error: KafkaError) -> str:
    """Say what to look at when a broker cannot be reached; refusals are explained already."""
    if error.code() not in UNREACHED:
        return ""
    if "certificate" in error.str():
        return "; check ssl.ca.location, and that the broker's certificate is valid for its host"
    return "; check host, port and security.protocol"


def roles(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the topics and what is done with them."""
    found: dict[str, tuple[str, ...]] = {settings.topic: ("READ",), settings.output: ("READ", "WRITE")}
    if settings.error_handling_mode == "log":
        found[settings.error_handling_log_target] = ("WRITE",)
    return found


def topic_lines(
    clients: Clients,
    settings: Settings,
    topic: str,
    operations: Collection[str],
    explain: Explain,
    sql_of: Mapping[str, str],
) -> Iterator[Line]:
    """Check that a topic is there, may be used, and keeps labels if they are written to it."""
    subject, is_output = f"topic {topic}", topic == settings.output
    allowed: dict[str, list[AclOperation] | None] = {}
    for operation in operations:
        client = clients.consumer if operation == "READ" else clients.producer
        try:
            found = described(client, topic)
        except KafkaException as exception:
            if exception.args[0].code() in MISSING:
                yield to_do(subject, how_to_make(topic, is_output, sql_of))
            else:
                yield to_do(subject, str(explain(exception.args[0], f"{operation.lower()} topic {topic}")))
            return
        allowed[operation] = found.authorized_operations
    yield ok(subject, n_of(len(found.partitions), "partition"))
    yield from (right_line(subject, operation, allowed[operation]) for operation in operations)
    if is_output:
        yield compaction_line(clients.consumer, topic)


def described(client: AdminClient, topic: str) -> Any:
    """Return the description of a topic; KafkaException where there is none."""
    futures = client.describe_topics(
        TopicCollection([topic]), include_authorized_operations=True, request_timeout=CALL_SECONDS
    )
    return futures[topic].result()


def how_to_make(topic: str, compacted: bool, sql_of: Mapping[str, str]) -> str:
    """Say that a topic is missing, and what makes it."""
    command = f"confluent kafka topic create {topic}{' --config cleanup.policy=compact' if compacted else ''}"
    return f"does not exist; check its name, or make it: {sql_of.get(topic, command)}"


def right_line(subject: str, operation: str, allowed: Collection[AclOperation] | None) -> Line:
    """Compare a right with those that the broker tells of."""
    subject = f"{subject}, right to {operation}"
    if allowed is None:
        return unseen(subject, "the broker does not tell")
    if {AclOperation[operation], AclOperation.ALL} & set(allowed):
        return ok(subject, "granted")
    return to_do(subject, f"missing; grant {operation} to the client's principal, see README, Rights")


def compaction_line(client: AdminClient, topic: str) -> Line:
    """Check that labels of quiet users are kept."""
    subject, wanted = f"topic {topic}, cleanup.policy", ConfigResource(ConfigResource.Type.TOPIC, topic)
    try:
        policy = (
            client.describe_configs([wanted], request_timeout=CALL_SECONDS)[wanted].result()["cleanup.policy"].value
        )
    except KafkaException:
        return unseen(subject, f"takes the right DescribeConfigs; by hand: confluent kafka topic describe {topic}")
    if policy == "compact":
        return ok(subject, "compact")
    mend = f"confluent kafka topic update {topic} --config cleanup.policy=compact"
    return to_do(subject, f"{policy}, so labels of quiet users will be deleted; to mend it: {mend}")


def group_line(client: AdminClient, group: str, explain: Explain) -> Line:
    """Check the right to keep offsets."""
    subject = f"group {group}"
    futures = client.describe_consumer_groups([group], include_authorized_operations=True, request_timeout=CALL_SECONDS)
    try:
        found = futures[group].result()
    except KafkaException as exception:
        if exception.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return unseen(subject, "not there before the first start, which takes the right to READ it")
        return to_do(subject, str(explain(exception.args[0], f"read group {group}")))
    return right_line(subject, "READ", found.authorized_operations)


# ------------------------------------------------------------------------------------- Schema Registry


def registry_lines(registry: SchemaRegistryClient, settings: Settings) -> Iterator[Line]:
    """Check the registry and the subjects the client reads."""
    reached = registry_line(registry)
    yield reached
    if reached.verdict == "TO DO":
        return
    make = "write to the topic once, or run the SQL statement that makes it"
    yield subject_line(registry, f"{settings.topic}-value", INPUT_FIELDS, to_do, f"does not exist; {make}")
    later = "not there yet; the first start registers it, which takes the right to write this subject"
    yield subject_line(registry, f"{settings.output}-value", OUTPUT_FIELDS, ok, later)
    yield subject_line(registry, f"{settings.output}-key", KEY_FIELDS, ok, "none: keys are plain user_ids")


def registry_line(registry: SchemaRegistryClient) -> Line:
    """Check address and credentials."""
    subject = "[schema_registry] url and credentials"
    try:
        return ok(subject, n_of(len(registry.get_subjects()), "subject"))
    except (SchemaRegistryError, httpx.TransportError) as error:
        # Some accounts may read their subjects, but not the list of all.
        if isinstance(error, SchemaRegistryError) and error.http_status_code == 403:
            return unseen(subject, "this account may not list subjects; those it needs follow")
        return to_do(subject, registry_advice(error))


def registry_advice(error: Exception) -> str:
    """Say what a refusal or an outage means."""
    if isinstance(error, SchemaRegistryError):
        if error.http_status_code in (401, 403):
            return f"refused (HTTP {error.http_status_code}); check [schema_registry] basic.auth.user.info"
        return f"HTTP {error.http_status_code} ({error.error_message}); check [schema_registry] url"
    certificate = " and ssl.ca.location" if "CERTIFICATE" in str(error) else ""
    return f"no answer ({error or type(error).__name__}); check [schema_registry] url{certificate}"


def subject_line(
    registry: SchemaRegistryClient,
    name: str,
    wanted: Mapping[str, Collection[str]],
    if_missing: Callable[[str, str], Line],
    missing: str,
) -> Line:
    """Check the newest schema of a subject."""
    subject = f"subject {name}"
    try:
        schema = registry.get_latest_version(subject_name=name).schema
    except SchemaRegistryError as error:
        return if_missing(subject, missing) if error.http_status_code == 404 else to_do(subject, registry_advice(error))
    except httpx.TransportError as error:
        return to_do(subject, registry_advice(error))
    complaint = misfit(schema.schema_type or "AVRO", schema.schema_str or "", wanted)
    if complaint:
        return to_do(subject, f"{complaint}; delete the subject or name another topic")
    return ok(subject, ", ".join(wanted))


def misfit(schema_type: str, schema_str: str, wanted: Mapping[str, Collection[str]]) -> str:
    """Return what is wrong with a schema, nothing if it has the fields wanted."""
    if schema_type != "AVRO":
        return f"is {schema_type}, not AVRO"
    try:
        schema = json.loads(schema_str)
    except ValueError:
        return "is not a usable Avro schema"
    if not (isinstance(schema, dict) and schema.get("type") == "record"):
        return "is not a record"
    kinds = {field["name"]: kinds_of(field["type"]) for field in schema["fields"]}
    for name, allowed in wanted.items():
        if name not in kinds:
            return f"has no field {name}"
        if not (kinds[name] - {"null"} and kinds[name] - {"null"} <= set(allowed)):
            return f"has {name} of type {' or '.join(sorted(kinds[name]))}, not {' or '.join(sorted(allowed))}"
    return ""


def kinds_of(schema: Any) -> set[str]:
    """Return the names of the types that a field may have."""
    if isinstance(schema, list):
        return set().union(*(kinds_of(each) for each in schema))
    return kinds_of(schema["type"]) if isinstance(schema, dict) else {str(schema)}
