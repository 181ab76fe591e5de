"""Looks at everything the client needs, writes nothing, and says per line ok or what to do (--check)."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]

from reporting.text import n_of

CONNECT_ATTEMPTS = 15  # of a second each, until the first answer of the brokers
CALL_SECONDS = 5.0
INPUT_FIELDS = {
    "user_id": {"string"},
    "total_amount": {"double", "float", "int", "long"},
    "num_transactions": {"int", "long"},
}
IF_MISSING = {  # subject of the output
    "value": "not there yet; the first start registers it, which takes the right to write this subject",
    "key": "none: keys are plain user_ids",
}
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


class Registry(Protocol):
    """The client's own: it says what a refusal or an outage means."""

    def subjects(self) -> list[str] | None: ...
    def newest(self, subject: str) -> Any: ...


class Known(NamedTuple):
    """What a start does and says, asked here so that both say the same."""

    explain: Callable[[KafkaError, str], Exception]  # (error, what was tried) -> an error whose text says what to do
    last_error: Callable[[], KafkaError | None]  # told to error_cb, which hears more than "timed out"
    missing: Callable[[str, bool], str]  # (topic, whether it is to be compacted) -> that it is not there, what makes it
    cleanup_policy: Callable[[str], str | None]  # of a topic; None without the right to see it
    not_compacted: Callable[[str, str], str]  # (topic, cleanup.policy) -> what that does, and what mends it
    registry: Registry
    codecs: Mapping[str, Callable[[], object]]  # subject of the output -> what makes its codec
    misfit: tuple[type[Exception], ...]  # what registry and codecs raise for a schema of another kind
    refusal: type[Exception]  # what they raise otherwise


def check(clients: Clients, settings: Settings, known: Known) -> Iterator[Line]:
    """Yield a line per check, as it is made."""
    reached = [connection(clients.consumer, "consumer", settings, known)]
    reached += [connection(clients.producer, "producer", settings, known)] if reached[0].verdict == "ok" else []
    yield from reached
    if all(line.verdict == "ok" for line in reached):
        for topic, operations in roles(settings).items():
            yield from topic_lines(clients, settings, topic, operations, known)
        yield group_line(clients.consumer, settings.group, known)
        yield unseen(
            f"transactional id {settings.transactional_id}",
            "needs WRITE, which shows at the first start only; to allow it see README, Rights",
        )
    yield from registry_lines(settings, known)


def run(lines: Iterable[Line], echo: Callable[[str], object]) -> int:
    """Echo every line and a last one; return the exit code."""
    n_to_do = 0
    for line in lines:
        n_to_do += line.verdict == "TO DO"
        echo(str(line))
    echo(f"{n_to_do} to do; run --check again then" if n_to_do else "ready")
    return 1 if n_to_do else 0


# ------------------------------------------------------------------------------------------------ Kafka


def connection(client: AdminClient, section: str, settings: Settings, known: Known) -> Line:
    """Check address, certificate and credentials of one section."""
    subject = f"[{section}] bootstrap.servers and credentials"
    try:
        n_brokers = count_brokers(client, known.last_error)
    except KafkaException as exception:
        error = exception.args[0]
        return to_do(subject, f"{known.explain(error, 'reach the brokers')}{connection_advice(error)}")
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
    clients: Clients, settings: Settings, topic: str, operations: Collection[str], known: Known
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
                yield to_do(subject, without(subject, known.missing(topic, is_output)))
            else:
                yield to_do(subject, str(known.explain(exception.args[0], f"{operation.lower()} topic {topic}")))
            return
        allowed[operation] = found.authorized_operations
    yield ok(subject, n_of(len(found.partitions), "partition"))
    yield from (right_line(subject, operation, allowed[operation]) for operation in operations)
    if is_output:
        yield compaction_line(topic, known)


def described(client: AdminClient, topic: str) -> Any:
    """Return the description of a topic; KafkaException where there is none."""
    futures = client.describe_topics(
        TopicCollection([topic]), include_authorized_operations=True, request_timeout=CALL_SECONDS
    )
    return futures[topic].result()


def right_line(subject: str, operation: str, allowed: Collection[AclOperation] | None) -> Line:
    """Compare a right with those that the broker tells of."""
    subject = f"{subject}, right to {operation}"
    if allowed is None:
        return unseen(subject, "the broker does not tell")
    if {AclOperation[operation], AclOperation.ALL} & set(allowed):
        return ok(subject, "granted")
    return to_do(subject, f"missing; grant {operation} to the client's principal, see README, Rights")


def compaction_line(topic: str, known: Known) -> Line:
    """Check that labels of quiet users are kept."""
    subject, policy = f"topic {topic}, cleanup.policy", known.cleanup_policy(topic)
    if policy is None:
        return unseen(subject, f"takes the right DescribeConfigs; by hand: confluent kafka topic describe {topic}")
    if policy == "compact":
        return ok(subject, policy)
    return to_do(subject, without(f"topic {topic} has cleanup.policy", known.not_compacted(topic, policy)))


def group_line(client: AdminClient, group: str, known: Known) -> Line:
    """Check the right to keep offsets."""
    subject = f"group {group}"
    futures = client.describe_consumer_groups([group], include_authorized_operations=True, request_timeout=CALL_SECONDS)
    try:
        found = futures[group].result()
    except KafkaException as exception:
        if exception.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return unseen(subject, "not there before the first start, which takes the right to READ it")
        return to_do(subject, str(known.explain(exception.args[0], f"read group {group}")))
    return right_line(subject, "READ", found.authorized_operations)


# ------------------------------------------------------------------------------------- Schema Registry


def registry_lines(settings: Settings, known: Known) -> Iterator[Line]:
    """Check the registry and the subjects that the client reads."""
    registry = "[schema_registry] url and credentials"
    try:
        subjects = known.registry.subjects()
        found = [input_line(settings.topic, known), *(output_line(subject, known) for subject in known.codecs)]
    except known.refusal as error:
        yield to_do(registry, str(error))
    else:
        may_not = "accepted; the account may not list all subjects, which it need not"
        yield ok(registry, may_not if subjects is None else n_of(len(subjects), "subject"))
        yield from found


def input_line(topic: str, known: Known) -> Line:
    """Check that the newest schema of the input has the fields of a row."""
    subject = f"subject {topic}-value"
    try:
        found = known.registry.newest(f"{topic}-value")
    except known.misfit as error:
        return to_do(subject, f"{without(subject, str(error))}; read another topic with -t")
    if found is None:
        return to_do(subject, "does not exist; write to the topic once, or run the SQL statement that makes it")
    complaint = misfit(found.schema, INPUT_FIELDS)
    if complaint:
        return to_do(subject, f"{complaint}; read another topic with -t")
    return ok(subject, ", ".join(INPUT_FIELDS))


def output_line(name: str, known: Known) -> Line:
    """Check that the client can read and write what a subject of the output asks for."""
    subject = f"subject {name}"
    try:
        known.codecs[name]()
        if known.registry.newest(name) is None:
            return ok(subject, IF_MISSING[name.rpartition("-")[2]])
    except known.misfit as error:
        return to_do(subject, without(subject, str(error)))
    return ok(subject, "fits")


def without(beginning: str, message: str) -> str:
    """Return the rest of a message whose beginning the line has said already."""
    return message.removeprefix(f"{beginning} ")


def misfit(schema: Any, wanted: Mapping[str, Collection[str]]) -> str:
    """Return what is wrong with a parsed schema, nothing if it has the fields wanted."""
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
