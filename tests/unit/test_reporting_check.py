"""What --check says: a line for each thing the client needs, ok or what to do."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import fastavro
import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]
from confluent_kafka.schema_registry.error import SchemaRegistryError

from classifier.check import Line, check, misfit, run
from classifier.kafka import Kafka
from classifier.registry import ReadOnlyRegistry
from classifier.settings import Settings
from classifier.stop import StopRequest
from classifier.transport import http_libraries

(httpx,) = http_libraries()
INPUT, OUTPUT, TARGET, GROUP = "transactions_aggregate", "user_labeling", "error_log", "user_classifier"
READ, WRITE = AclOperation.READ, AclOperation.WRITE
SETTINGS = Settings(
    schema_registry={}, consumer={"security.protocol": "SASL_SSL"}, producer={"security.protocol": "SSL"}
)


def schema(**kinds: Any) -> str:
    """A record, every field of it nullable."""
    fields = [{"name": name, "type": ["null", kind], "default": None} for name, kind in kinds.items()]
    return json.dumps({"type": "record", "name": "r", "fields": fields})


def done(result: object) -> Future[Any]:
    """What the admin client returns."""
    future: Future[Any] = Future()
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
    return future


def failure(code: int) -> KafkaException:
    """What the admin client raises."""
    return KafkaException(KafkaError(code, "says the broker"))


@dataclass
class FakeAdmin:
    """A cluster as one principal sees it. A topic's value: its rights, None for untold, or the error."""

    topics: dict[str, Any] = field(default_factory=dict)
    group: Any = (READ,)
    policy: str | None = "compact"
    reached: KafkaException | None = None
    refusals: int = 1000
    attempts: int = 0

    def list_topics(self, timeout: float) -> SimpleNamespace:
        self.attempts += 1
        if self.reached is not None and self.attempts <= self.refusals:
            raise self.reached
        return SimpleNamespace(brokers={1: None, 2: None, 3: None})

    def poll(self, timeout: float) -> int:
        return 0

    def describe_topics(self, topics: Any, **options: Any) -> Mapping[str, Future[Any]]:
        (name,) = topics.topic_names
        found = self.topics.get(name, failure(KafkaError.UNKNOWN_TOPIC_OR_PART))
        told = SimpleNamespace(partitions=range(6), authorized_operations=found)
        return {name: done(found if isinstance(found, KafkaException) else told)}

    def describe_consumer_groups(self, groups: list[str], **options: Any) -> Mapping[str, Future[Any]]:
        told = SimpleNamespace(authorized_operations=self.group)
        return {groups[0]: done(self.group if isinstance(self.group, KafkaException) else told)}


@dataclass
class FakeRegistry:
    """Subjects, or the error that every call ends in."""

    subjects: dict[str, str] = field(default_factory=dict)
    schema_type: str = "AVRO"
    error: Exception | None = None
    list_error: Exception | None = None

    def get_subjects(self) -> list[str]:
        if self.error or self.list_error:
            raise self.error or self.list_error or AssertionError
        return list(self.subjects)

    def get_latest_version(self, subject_name: str) -> SimpleNamespace:
        if self.error:
            raise self.error
        if subject_name not in self.subjects:
            raise SchemaRegistryError(404, 40401, "not found")
        schema_id = list(self.subjects).index(subject_name)
        return SimpleNamespace(schema_id=schema_id, schema=self.get_schema(schema_id))

    def get_schema(self, schema_id: int) -> SimpleNamespace:
        text = list(self.subjects.values())[schema_id]
        return SimpleNamespace(schema_type=self.schema_type, schema_str=text)


def as_the_client_sees(registry: FakeRegistry) -> ReadOnlyRegistry:
    """The client's own registry, with this one behind it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("confluent_kafka.schema_registry.SchemaRegistryClient", lambda properties: registry)
        return ReadOnlyRegistry({"url": "http://registry"}, StopRequest())


class FakeKafka(Kafka):
    """Gives out these clients."""

    def __init__(self, settings: Settings, consumer: AdminClient, producer: AdminClient) -> None:
        super().__init__(replace(settings, consumer={"bootstrap.servers": "host:9092"}), StopRequest())
        self._admins = {"consumer": consumer, "producer": producer}

    def admin(self, section: str) -> AdminClient:
        """See Kafka."""
        return self._admins[section]

    def cleanup_policy(self, topic: str) -> str | None:
        """See Kafka."""
        return cast(FakeAdmin, self._admins["consumer"]).policy


def everything() -> FakeAdmin:
    """A cluster on which nothing is missing."""
    return FakeAdmin({INPUT: [READ], OUTPUT: [READ, WRITE], TARGET: [WRITE]})


SUBJECTS = {
    f"{INPUT}-value": schema(user_id="string", total_amount="double", num_transactions="long"),
    f"{OUTPUT}-value": schema(user_id="string", total_amount="double", num_transactions="long", label="int"),
    f"{OUTPUT}-key": schema(user_id="string"),
}


def lines(
    consumer: FakeAdmin,
    registry: FakeRegistry | None = None,
    producer: FakeAdmin | None = None,
    settings: Settings = SETTINGS,
    last_error: KafkaError | None = None,
) -> Iterator[Line]:
    """Check a fake cluster."""
    kafka = FakeKafka(settings, cast(AdminClient, consumer), cast(AdminClient, producer or consumer))
    kafka.complaint = last_error
    return check(settings, kafka, as_the_client_sees(registry or FakeRegistry(SUBJECTS)))


def to_do(found: Iterator[Line]) -> list[str]:
    """The lines that are not ok."""
    return [str(line) for line in found if line.verdict == "TO DO"]


def test_everything_in_place_in_full() -> None:
    told: list[str] = []
    assert run(lines(everything()), told.append) == 0
    assert "\n".join(told) == (
        """\
ok      [consumer] bootstrap.servers and credentials: 3 brokers reached by SASL_SSL
ok      [producer] bootstrap.servers and credentials: 3 brokers reached by SSL
ok      topic transactions_aggregate: 6 partitions
ok      topic transactions_aggregate, right to READ: granted
ok      topic user_labeling: 6 partitions
ok      topic user_labeling, right to READ: granted
ok      topic user_labeling, right to WRITE: granted
ok      topic user_labeling, cleanup.policy: compact
ok      group user_classifier, right to READ: granted
unseen  transactional id user_classifier-user_classifier-user_labeling: needs WRITE, which shows at the first start\
 only; to allow it see README, Rights
ok      [schema_registry] url and credentials: 3 subjects
ok      subject transactions_aggregate-value: user_id, total_amount, num_transactions
ok      subject user_labeling-value: fits
ok      subject user_labeling-key: fits
ready"""
    )


def test_nothing_in_place_in_full() -> None:
    told: list[str] = []
    settings = Settings(schema_registry={}, consumer={}, producer={}, error_handling_mode="log")
    found = lines(FakeAdmin(group=[], policy="delete"), FakeRegistry(), settings=settings)
    assert run((line for line in found if line.verdict == "TO DO"), told.append) == 1
    assert "\n".join(told) == (
        """\
TO DO   topic transactions_aggregate: does not exist; check its name, or make it:\
 run sql/3_create_transactions_aggregate.sql
TO DO   topic user_labeling: does not exist; check its name, or make it: run sql/5_create_user_labeling.sql
TO DO   topic error_log: does not exist; check its name, or make it: confluent kafka topic create error_log
TO DO   group user_classifier, right to READ: missing; grant READ to the client's principal, see README, Rights
TO DO   subject transactions_aggregate-value: does not exist; write to the topic once, or run the SQL statement that\
 makes it
5 to do; run --check again then"""
    )


def test_an_output_of_another_name_is_made_compacted() -> None:
    settings = Settings(schema_registry={}, consumer={}, producer={}, output="labels")
    (line,) = [line for line in to_do(lines(everything(), settings=settings)) if "topic labels" in line]
    assert line.endswith("confluent kafka topic create labels --config cleanup.policy=compact")


def test_an_output_that_forgets() -> None:
    admin = everything()
    admin.policy = "delete"
    assert to_do(lines(admin)) == [
        "TO DO   topic user_labeling, cleanup.policy: delete, so labels of quiet users will be deleted; to mend it:"
        " confluent kafka topic update user_labeling --config cleanup.policy=compact"
    ]


@pytest.mark.parametrize("topic", [INPUT, OUTPUT, TARGET])
def test_a_missing_right_is_named(topic: str) -> None:
    settings = Settings(schema_registry={}, consumer={}, producer={}, error_handling_mode="log")
    admin = everything()
    needed, admin.topics[topic] = admin.topics[topic], [AclOperation.DESCRIBE]
    assert to_do(lines(admin, settings=settings)) == [
        f"TO DO   topic {topic}, right to {right.name}: missing; grant {right.name} to the client's principal,"
        " see README, Rights"
        for right in needed
    ]


def test_rights_are_those_of_the_section_that_uses_them() -> None:
    reader = FakeAdmin({INPUT: [READ], OUTPUT: [READ]})
    writer = FakeAdmin({OUTPUT: [WRITE]}, group=[], policy="delete")
    assert to_do(lines(reader, producer=writer)) == []


def test_a_topic_that_may_not_even_be_seen() -> None:
    admin = everything()
    admin.topics[INPUT] = failure(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    admin.group = failure(KafkaError.GROUP_AUTHORIZATION_FAILED)
    assert to_do(lines(admin)) == [
        "TO DO   topic transactions_aggregate: not allowed to read topic transactions_aggregate (says the broker);"
        " grant this right, see README, Rights",
        "TO DO   group user_classifier: not allowed to read group user_classifier (says the broker);"
        " grant this right, see README, Rights",
    ]


def test_what_the_broker_does_not_tell_is_no_fault() -> None:
    admin = FakeAdmin({INPUT: None, OUTPUT: None}, None, None)
    found = list(lines(admin))
    assert [line.subject for line in found if line.verdict == "unseen"] == [
        "topic transactions_aggregate, right to READ",
        "topic user_labeling, right to READ",
        "topic user_labeling, right to WRITE",
        "topic user_labeling, cleanup.policy",
        "group user_classifier, right to READ",
        "transactional id user_classifier-user_classifier-user_labeling",
    ]
    assert to_do(iter(found)) == []
    admin.group = failure(KafkaError.GROUP_ID_NOT_FOUND)
    assert to_do(lines(admin)) == []


def test_brokers_that_do_not_answer() -> None:
    admin = everything()
    admin.reached = failure(KafkaError._TRANSPORT)
    found = list(lines(admin))
    assert str(found[0]) == (
        "TO DO   [consumer] bootstrap.servers and credentials: cannot reach the brokers: says the broker;"
        " check host, port and security.protocol"
    )
    assert not any(line.subject.startswith(("topic", "group")) for line in found), "nothing else can be asked"
    assert found[-1].subject == "subject user_labeling-key", "the registry can"


def test_brokers_that_answer_late() -> None:
    admin = everything()
    admin.reached, admin.refusals = failure(KafkaError._TRANSPORT), 14
    assert to_do(lines(admin)) == []


def test_a_certificate_that_is_not_accepted() -> None:
    admin = everything()
    admin.reached = failure(KafkaError._TRANSPORT)
    (line,) = to_do(lines(admin, last_error=KafkaError(KafkaError._TRANSPORT, "certificate verify failed")))
    assert line.endswith(
        "certificate verify failed; check ssl.ca.location, and that the broker's certificate is valid for its host"
    )


def test_a_refused_password_is_told_rather_than_a_time_out() -> None:
    admin = everything()
    admin.reached = failure(KafkaError._TRANSPORT)
    refused = KafkaError(KafkaError._AUTHENTICATION, "wrong password")
    assert to_do(lines(admin, last_error=refused)) == [
        "TO DO   [consumer] bootstrap.servers and credentials: wrong password; check security.protocol,"
        " sasl.mechanisms, sasl.username and sasl.password"
    ]
    assert admin.attempts == 1, "and at once"


def test_the_producers_credentials_are_tried_too() -> None:
    producer = FakeAdmin(reached=failure(KafkaError._TRANSPORT))
    assert to_do(lines(everything(), producer=producer))[0].startswith("TO DO   [producer] bootstrap.servers")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (SchemaRegistryError(401, 40101, "no"), "refused (HTTP 401); check [schema_registry] basic.auth.user.info"),
        (SchemaRegistryError(404, 404, "what?"), "HTTP 404; check [schema_registry] url"),
        (SchemaRegistryError(422, 42201, "what?"), "HTTP 422 (what?); check [schema_registry] url"),
        (SchemaRegistryError(500, 50001, "broken"), "HTTP 500; check [schema_registry] url"),
        (httpx.ConnectError("refused"), "no answer (refused); check [schema_registry] url"),
        (
            httpx.ConnectError("CERTIFICATE_VERIFY_FAILED"),
            "no answer (CERTIFICATE_VERIFY_FAILED); check [schema_registry] url and ssl.ca.location",
        ),
    ],
)
def test_a_registry_that_cannot_be_used(error: Exception, advice: str) -> None:
    assert to_do(lines(everything(), FakeRegistry(error=error))) == [
        f"TO DO   [schema_registry] url and credentials: Schema Registry http://registry: {advice}"
    ]


def test_an_account_that_may_read_its_subjects_but_not_list_all() -> None:
    registry = FakeRegistry(SUBJECTS, list_error=SchemaRegistryError(403, 40301, "no"))
    found = list(lines(everything(), registry))[-4:]
    assert [line.verdict for line in found] == ["ok"] * 4
    assert found[0].finding == "accepted; the account may not list all subjects, which it need not"


RIGHT = {"user_id": {"string"}, "label": {"int", "long"}}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (schema(user_id="string", label="int"), ""),
        (schema(user_id={"type": "string", "avro.java.string": "String"}, label="int", more="bytes"), ""),
        ('"string"', "is not a record"),
        (schema(user_id="string"), "has no field label"),
        (schema(user_id="string", label="string"), "has label of type null or string, not int or long"),
        (schema(user_id="null", label="int"), "has user_id of type null, not string"),
        (
            schema(user_id={"type": "array", "items": "string"}, label="int"),
            "has user_id of type array or null, not string",
        ),
    ],
)
def test_schemas(text: str, complaint: str) -> None:
    assert misfit(fastavro.parse_schema(json.loads(text)), RIGHT) == complaint


INPUT_LINE, VALUE_LINE, KEY_LINE = (f"TO DO   subject {name}" for name in SUBJECTS)


def test_subjects_of_other_fields() -> None:
    subjects = dict.fromkeys(SUBJECTS, schema(id="long"))
    assert to_do(lines(everything(), FakeRegistry(subjects))) == [
        f"{INPUT_LINE}: has no field user_id; read another topic with -t",
        f"{VALUE_LINE}: is not a record of user_id string, total_amount double, num_transactions long and label int;"
        " delete the subject or choose another output with -o",
        f"{KEY_LINE}: is not a record of one string user_id; delete the subject or choose another topic",
    ]


def test_subjects_that_are_not_avro() -> None:
    found = to_do(lines(everything(), FakeRegistry(SUBJECTS, "JSON")))
    assert [line.partition(";")[0] for line in found] == [
        f"{INPUT_LINE}: is JSON, not AVRO",
        f"{VALUE_LINE}: is not a record of user_id string, total_amount double, num_transactions long and label int",
        f"{KEY_LINE}: is not a record of one string user_id",
    ]


def test_an_output_with_a_field_that_the_client_cannot_fill() -> None:
    more = json.loads(SUBJECTS[f"{OUTPUT}-value"])
    more["fields"].append({"name": "segment", "type": "string"})
    (line,) = to_do(lines(everything(), FakeRegistry({**SUBJECTS, f"{OUTPUT}-value": json.dumps(more)})))
    assert line.startswith(f"{VALUE_LINE}: is not a record of ")
