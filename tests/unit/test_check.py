"""--check: a line for each thing the client needs, ok or with what to do."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from confluent_kafka import ConsumerGroupState, KafkaError
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]
from confluent_kafka.schema_registry.error import SchemaRegistryError

from classifier.commands.check import COORDINATOR_ATTEMPTS, check, run
from classifier.commands.check_line import Line
from classifier.config.settings import Settings
from classifier.serialization.column_types import row_type_problem
from classifier.serialization.http import http_libraries
from classifier.serialization.registry import MODE_ADVICE
from tests.support.admin import READ, WRITE, FakeAdmin, FakeKafka, FakeRegistry, as_the_client_sees, failure, schema

(httpx,) = http_libraries()
INPUT, OUTPUT, TARGET, GROUP = "transactions_aggregate", "user_labeling", "error_log", "user_classifier"
SETTINGS = Settings(
    schema_registry={}, consumer={"security.protocol": "SASL_SSL"}, producer={"security.protocol": "SSL"}
)


def everything() -> FakeAdmin:
    """A cluster without problems."""
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
    kafka.last_error = last_error
    return check(settings, kafka, as_the_client_sees(registry or FakeRegistry(SUBJECTS)))


def to_do(found: Iterator[Line]) -> list[str]:
    """The lines with something to do."""
    return [str(line) for line in found if line.verdict == "TO DO"]


def test_a_check_without_problems_in_full() -> None:
    printed: list[str] = []
    assert run(lines(everything()), printed.append) == 0
    assert "\n".join(printed) == (
        """\
ok      [consumer] bootstrap.servers and credentials: 3 brokers reached by SASL_SSL
ok      [producer] bootstrap.servers and credentials: 3 brokers reached by SSL
ok      topic transactions_aggregate: 6 partitions
ok      topic transactions_aggregate, permission READ: granted
ok      topic user_labeling: 6 partitions
ok      topic user_labeling, permission READ: granted
ok      topic user_labeling, permission WRITE: granted
ok      topic user_labeling, cleanup.policy: compact
ok      group user_classifier, permission READ: granted
unknown transactional id user_classifier-user_classifier-user_labeling: needs permission WRITE, which only a\
 start can test; to grant it see docs/configuration.md, Permissions
ok      [schema_registry] url and credentials: 3 subjects
ok      subject transactions_aggregate-value: user_id, total_amount, num_transactions
ok      subject user_labeling-value: fits
ok      subject user_labeling-key: fits
ready"""
    )


def test_a_check_of_an_empty_cluster_in_full() -> None:
    printed: list[str] = []
    settings = Settings(schema_registry={}, consumer={}, producer={}, error_handling_mode="log")
    found = lines(FakeAdmin(group=[], policy="delete"), FakeRegistry(), settings=settings)
    assert run((line for line in found if line.verdict == "TO DO"), printed.append) == 1
    assert "\n".join(printed) == (
        """\
TO DO   topic transactions_aggregate: does not exist; check its name, or create it:\
 run sql/3_create_transactions_aggregate.sql
TO DO   topic user_labeling: does not exist; check its name, or create it: run sql/5_create_user_labeling.sql
TO DO   topic error_log: does not exist; check its name, or create it: confluent kafka topic create error_log
TO DO   group user_classifier, permission READ: missing; grant READ to the client's principal,\
 see docs/configuration.md, Permissions
TO DO   subject transactions_aggregate-value: does not exist; write to the topic once, or run the SQL statement that\
 creates it
5 to do; then run --check again"""
    )


def test_an_output_of_another_name_is_created_compacted() -> None:
    settings = Settings(schema_registry={}, consumer={}, producer={}, output="labels")
    (line,) = [line for line in to_do(lines(everything(), settings=settings)) if "topic labels" in line]
    assert line.endswith("confluent kafka topic create labels --config cleanup.policy=compact")


def test_an_output_that_is_not_compacted() -> None:
    admin = everything()
    admin.policy = "delete"
    assert to_do(lines(admin)) == [
        "TO DO   topic user_labeling, cleanup.policy: delete, so labels of quiet users will be deleted; to fix it:"
        " confluent kafka topic update user_labeling --config cleanup.policy=compact"
    ]


def test_cells_that_are_not_compacted() -> None:
    admin = FakeAdmin({"user_cells": [READ], "user_cell_labels": [READ, WRITE]}, policy="delete")
    settings = Settings({}, {}, {}, cells=True, topic="user_cells", output="user_cell_labels")
    assert [line for line in to_do(lines(admin, settings=settings)) if "cleanup.policy" in line] == [
        f"TO DO   topic {topic}, cleanup.policy: delete, so {lost} of quiet cells will be deleted; to fix it:"
        f" confluent kafka topic update {topic} --config cleanup.policy=compact"
        for topic, lost in (("user_cells", "numbers"), ("user_cell_labels", "labels"))
    ]


@pytest.mark.parametrize("topic", [INPUT, OUTPUT, TARGET])
def test_a_missing_permission_is_named(topic: str) -> None:
    settings = Settings(schema_registry={}, consumer={}, producer={}, error_handling_mode="log")
    admin = everything()
    needed, admin.topics[topic] = admin.topics[topic], [AclOperation.DESCRIBE]
    assert to_do(lines(admin, settings=settings)) == [
        f"TO DO   topic {topic}, permission {operation.name}: missing; grant {operation.name} to the client's"
        " principal, see docs/configuration.md, Permissions"
        for operation in needed
    ]


def test_permissions_are_those_of_the_section_that_uses_them() -> None:
    reader = FakeAdmin({INPUT: [READ], OUTPUT: [READ]})
    writer = FakeAdmin({OUTPUT: [WRITE]}, group=[], policy="delete")
    assert to_do(lines(reader, producer=writer)) == []


def test_a_topic_that_is_not_permitted_at_all() -> None:
    admin = everything()
    admin.topics[INPUT] = failure(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    admin.group = failure(KafkaError.GROUP_AUTHORIZATION_FAILED)
    assert to_do(lines(admin)) == [
        "TO DO   topic transactions_aggregate: not allowed to read topic transactions_aggregate (reason of the broker);"
        " grant this permission, see docs/configuration.md, Permissions",
        "TO DO   group user_classifier: not allowed to read group user_classifier (reason of the broker);"
        " grant this permission, see docs/configuration.md, Permissions",
    ]


def test_what_the_broker_does_not_report_is_no_problem() -> None:
    admin = FakeAdmin({INPUT: None, OUTPUT: None}, None, None)
    found = list(lines(admin))
    assert [line.subject for line in found if line.verdict == "unknown"] == [
        "topic transactions_aggregate, permission READ",
        "topic user_labeling, permission READ",
        "topic user_labeling, permission WRITE",
        "topic user_labeling, cleanup.policy",
        "group user_classifier, permission READ",
        "transactional id user_classifier-user_classifier-user_labeling",
    ]
    assert to_do(iter(found)) == []
    admin.group = failure(KafkaError.GROUP_ID_NOT_FOUND)
    assert to_do(lines(admin)) == []


@pytest.mark.parametrize("group", [(READ,), failure(KafkaError.GROUP_ID_NOT_FOUND)])
def test_a_group_that_only_a_list_of_all_types_has(group: Any) -> None:
    """Brokers describe a share group as one that does not exist, in either of two ways."""
    admin = everything()
    admin.group, admin.group_state = group, ConsumerGroupState.DEAD
    assert to_do(lines(admin)) == []
    admin.listed = failure(KafkaError._TIMED_OUT)
    assert to_do(lines(admin)) == []
    admin.listed = [object()]
    assert to_do(lines(admin)) == [
        "TO DO   group user_classifier: a group of another type, such as a share group, has this id; choose another"
        " group with -g"
    ]
    admin.group, admin.group_state = (READ,), ConsumerGroupState.STABLE
    assert to_do(lines(admin)) == []


def test_a_coordinator_that_still_starts() -> None:
    """As in a new cluster, or after a restart of the broker."""
    admin = everything()
    starting = [
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    ]
    admin.group_failures = [failure(code) for code in starting]
    assert to_do(lines(admin)) == []
    assert admin.group_failures == []
    admin.group_failures = [failure(KafkaError.COORDINATOR_NOT_AVAILABLE)] * (2 * COORDINATOR_ATTEMPTS)
    assert to_do(lines(admin)) == [
        "TO DO   group user_classifier: cannot read group user_classifier: reason of the broker; the brokers have"
        " not created topic __consumer_offsets; they cannot if there are fewer of them than"
        " offsets.topic.replication.factor"
    ]
    assert len(admin.group_failures) == COORDINATOR_ATTEMPTS


def test_transactions_that_the_brokers_cannot_keep() -> None:
    admin = everything()
    admin.broker_config = {"transaction.state.log.replication.factor": "3"}
    assert to_do(lines(admin)) == []
    admin.broker_config = {"transaction.state.log.replication.factor": "4"}
    assert to_do(lines(admin)) == [
        "TO DO   transactional id user_classifier-user_classifier-user_labeling: the brokers cannot create topic"
        " __transaction_state: transaction.state.log.replication.factor is 4, and the cluster has 3 brokers; lower it"
    ]
    admin.topics["__transaction_state"] = None
    assert to_do(lines(admin)) == []


def test_brokers_that_do_not_answer() -> None:
    admin = everything()
    admin.reached = failure(KafkaError._TRANSPORT)
    found = list(lines(admin))
    assert str(found[0]) == (
        "TO DO   [consumer] bootstrap.servers and credentials: cannot reach the brokers: reason of the broker;"
        " check host, port and security.protocol"
    )
    assert not any(line.subject.startswith(("topic", "group")) for line in found), "no broker can answer"
    assert found[-1].subject == "subject user_labeling-key", "the registry is checked"


def test_brokers_that_answer_late() -> None:
    admin = everything()
    admin.reached, admin.refusals = failure(KafkaError._TRANSPORT), 14
    assert to_do(lines(admin)) == []


def test_a_certificate_that_is_not_accepted() -> None:
    admin = everything()
    admin.reached = failure(KafkaError._TRANSPORT)
    (line,) = to_do(lines(admin, last_error=KafkaError(KafkaError._TRANSPORT, "certificate verify failed")))
    assert line == (
        "TO DO   [consumer] bootstrap.servers and credentials: certificate verify failed; check that ssl.ca.location"
        " holds the authority that signed the broker's certificate, that the certificate is for the host in"
        " bootstrap.servers, and that it has not expired"
    )


def test_a_refused_password_is_reported_instead_of_a_timeout() -> None:
    admin = everything()
    admin.reached = failure(KafkaError._TRANSPORT)
    refused = KafkaError(KafkaError._AUTHENTICATION, "wrong password")
    assert to_do(lines(admin, last_error=refused)) == [
        "TO DO   [consumer] bootstrap.servers and credentials: wrong password; check security.protocol,"
        " sasl.mechanisms, sasl.username and sasl.password"
    ]
    assert admin.attempts == 1, "without retries"


def test_the_credentials_of_the_producer_are_checked_too() -> None:
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


def test_an_account_that_can_read_its_subjects_but_not_list_all() -> None:
    registry = FakeRegistry(SUBJECTS, list_error=SchemaRegistryError(403, 40301, "no"))
    found = list(lines(everything(), registry))[-4:]
    assert [line.verdict for line in found] == ["ok"] * 4
    assert found[0].finding == "accepted; the account has no permission to list all subjects, and needs none"


def test_a_registry_whose_mode_lets_nobody_register() -> None:
    """It matters only if the output has no subject yet."""
    inputs = {name: text for name, text in SUBJECTS.items() if name.startswith(INPUT)}
    assert to_do(lines(everything(), FakeRegistry(SUBJECTS, mode="READONLY"))) == []
    assert to_do(lines(everything(), FakeRegistry(inputs))) == []
    assert to_do(lines(everything(), FakeRegistry(inputs, mode="READONLY"))) == [
        f"{VALUE_LINE}: does not exist, and no start can register it in mode READONLY; {MODE_ADVICE}"
    ]


def row_schema(**kinds: Any) -> str:
    """The schema of the input with other types."""
    return schema(**{"user_id": "string", "total_amount": "double", "num_transactions": "long", **kinds})


AS_STRING = "write CAST(user_id AS STRING) AS user_id in statement 4, and user_id STRING in statement 3"
AS_DOUBLE = "write CAST(SUM(amount) AS DOUBLE) AS total_amount in statement 4, and total_amount DOUBLE in statement 3"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (row_schema(), ""),
        (row_schema(user_id={"type": "string", "avro.java.string": "String"}, more="bytes"), ""),
        ('"string"', "is not a record"),
        (schema(user_id="string", total_amount="double"), "has no field num_transactions"),
        (row_schema(total_amount="string"), f"total_amount is of type string; {AS_DOUBLE}"),
        (row_schema(user_id="null"), f"user_id is of type null; {AS_STRING}"),
        (row_schema(user_id={"type": "array", "items": "string"}), f"user_id is of type array; {AS_STRING}"),
    ],
)
def test_schemas(text: str, complaint: str) -> None:
    assert row_type_problem(json.loads(text)) == complaint


INPUT_LINE, VALUE_LINE, KEY_LINE = (f"TO DO   subject {name}" for name in SUBJECTS)


def test_subjects_with_other_fields() -> None:
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
