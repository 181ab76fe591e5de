"""Properties that conflict, are out of range, or are of Java's clients: messages name them as in the file."""

from pathlib import Path

import pytest

from classifier.config.properties import HINTS, JAVA, JAVA_IN_KAFKA, JAVA_IN_REGISTRY, KERBEROS
from tests.support import configuration, inside
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.pipeline import Pipeline

PREFIX = "user_classifier.py: error: "
SECRET = "s3cr3t"
ONCE = "for exactly-once delivery (enable.idempotence = true)"
CONSUMER_PROTOCOL = "is not supported for group.protocol=consumer"


def message_about(directory: Path, section: str, given: dict[str, str]) -> str:
    """The message about these properties, without the name of the file; empty without one."""
    content = configuration.sections("127.0.0.1:1", "http://127.0.0.1:1")
    content[section] |= given
    file = configuration.write(directory / "x.ini", content)
    finished = inside.run([str(file), "--print-config"])
    if finished.code == 0:
        return ""
    assert (finished.code, finished.stdout) == (2, "")
    assert SECRET not in finished.stderr
    assert finished.stderr.startswith(f"{PREFIX}{file}: [{section}] ")
    return finished.stderr.removeprefix(f"{PREFIX}{file}: [{section}] ").rstrip("\n")


CONFLICTS = [
    ("producer", {"max.in.flight.requests.per.connection": "10"}, f"{{}} must be <= 5 {ONCE}; change or remove {{}}"),
    ("producer", {"max.in.flight": "6"}, f"{{}} must be <= 5 {ONCE}; change or remove {{}}"),
    *(
        ("producer", {name: value}, f"{{}} must be all {ONCE}; change or remove {{}}")
        for name, value in (("acks", "1"), ("acks", "0"), ("acks", "2"), ("request.required.acks", "1"))
    ),
    *(
        ("producer", {name: "0"}, f"{{}} must be >= 1 {ONCE}; change or remove {{}}")
        for name in ("retries", "message.send.max.retries")
    ),
    ("producer", {"queuing.strategy": "lifo"}, f"{{}} must be fifo {ONCE}; change or remove {{}}"),
    *(
        ("producer", {name: "90000"}, "{} must be <= transaction.timeout.ms (60000 unless set); change or remove {}")
        for name in ("delivery.timeout.ms", "message.timeout.ms")
    ),
    (
        "producer",
        {"delivery.timeout.ms": "30000", "transaction.timeout.ms": "20000"},
        "{} must be <= transaction.timeout.ms; change or remove {} or transaction.timeout.ms",
    ),
    (
        "producer",
        {"socket.timeout.ms": "70000"},
        "{} must be <= transaction.timeout.ms (60000 unless set) + 100; change or remove {}",
    ),
    (
        "producer",
        {"linger.ms": "90000"},
        "message.timeout.ms (transaction.timeout.ms unless set) must be greater than {}; change or remove {}",
    ),
    (
        "producer",
        {"linger.ms": "9000", "delivery.timeout.ms": "8000"},
        "delivery.timeout.ms must be greater than {}; change or remove delivery.timeout.ms or {}",
    ),
    ("producer", {"transaction.timeout.ms": "500"}, "{} must be in 1000..2147483647; correct or remove the line"),
    ("producer", {"retries": "-1"}, "{} must be in 0..2147483647; correct or remove the line"),
    ("producer", {"batch.size": "0"}, "{} must be in 1..2147483647; correct or remove the line"),
    ("producer", {"queue.buffering.max.kbytes": "0"}, "{} must be in 1..2147483647; correct or remove the line"),
    (
        "producer",
        {"reconnect.backoff.ms": "20000"},
        "reconnect.backoff.max.ms (10000 unless set) must be >= {}; change or remove {}",
    ),
    *(
        ("consumer", {name: value, "group.protocol": "consumer"}, f"{{}} {CONSUMER_PROTOCOL}; remove {{}}")
        for name, value in (
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "1000"),
            ("partition.assignment.strategy", "range"),
            ("group.protocol.type", "x"),
        )
    ),
    (
        "consumer",
        {"session.timeout.ms": "400000"},
        "max.poll.interval.ms (300000 unless set) must be >= {}; change or remove {}",
    ),
    (
        "consumer",
        {"max.poll.interval.ms": "100"},
        "{} must be >= session.timeout.ms (45000 unless set); change or remove {}",
    ),
    (
        "consumer",
        {"fetch.max.bytes": "10"},
        "{} must be >= message.max.bytes (1000000 unless set); change or remove {}",
    ),
    (
        "consumer",
        {"receive.message.max.bytes": "1000"},
        "{} must be >= fetch.max.bytes (52428800 unless set) + 512; change or remove {}",
    ),
    ("consumer", {"max.partition.fetch.bytes": "0"}, "{} must be in 1..1000000000; correct or remove the line"),
    ("consumer", {"fetch.min.bytes": "0"}, "{} must be in 1..100000000; correct or remove the line"),
    ("consumer", {"queued.min.messages": "0"}, "{} must be in 1..10000000; correct or remove the line"),
    ("consumer", {"check.crcs": "yes"}, "{} must be true or false"),
    ("consumer", {"session.timeout.ms": ""}, "{} is empty; give it a value, or remove the line"),
    (
        "consumer",
        {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.client.secret": SECRET,
            "sasl.mechanisms": "OAUTHBEARER",
            "security.protocol": "SASL_SSL",
        },
        "sasl.oauthbearer.token.endpoint.url is mandatory when sasl.oauthbearer.method=oidc is set; add it",
    ),
    *(
        ("consumer", {name: "GSSAPI", "security.protocol": "SASL_SSL"}, f"{{}}: {KERBEROS}")
        for name in ("sasl.mechanisms", "sasl.mechanism")
    ),
    (
        "consumer",
        {
            "sasl.oauthbearer.metadata.authentication.type": "aws_iam",
            "sasl.oauthbearer.config": "region=x,audience=x",
            "sasl.oauthbearer.method": "oidc",
            "sasl.mechanisms": "OAUTHBEARER",
        },
        f"{{}}: missing, unknown, or without a valid value; {HINTS['sasl.oauthbearer.metadata.authentication.type']}",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("section", "given", "message"), CONFLICTS)
def test_conflicts(section: str, given: dict[str, str], message: str, tmp_path: Path) -> None:
    assert message_about(tmp_path, section, given) == message.replace("{}", next(iter(given)))


@pytest.mark.parametrize(
    ("section", "given"),
    [
        ("producer", {"acks": "all"}),
        ("producer", {"acks": "-1"}),
        ("producer", {"transaction.timeout.ms": "5000"}),
        ("producer", {"transaction.timeout.ms": "120000", "delivery.timeout.ms": "90000"}),
        ("producer", {"retries": "3", "max.in.flight.requests.per.connection": "5"}),
        ("consumer", {"group.protocol": "consumer"}),
        ("consumer", {"session.timeout.ms": "10000", "heartbeat.interval.ms": "1000"}),
        ("consumer", {"sasl.mechanism": "PLAIN", "sasl.username": "user", "sasl.password": SECRET}),
    ],
)
def test_valid_properties(section: str, given: dict[str, str], tmp_path: Path) -> None:
    assert message_about(tmp_path, section, given) == ""


JAVA_LINES = [
    *((section, name, f"{{}} is a Java client property; {do}") for name, do in JAVA.items()
      for section in ("schema_registry", "consumer", "producer")),
    *(("schema_registry", name, f"{{}} does not belong in this section; {do}")
      for name, do in JAVA_IN_REGISTRY.items()),
    *((section, name, f"{{}} does not belong in this section; {do}") for name, do in JAVA_IN_KAFKA.items()
      for section in ("consumer", "producer")),
]  # fmt: skip


@pytest.mark.parametrize(("section", "name", "message"), JAVA_LINES)
def test_properties_of_java(section: str, name: str, message: str, tmp_path: Path) -> None:
    value = f'org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="{SECRET}";'
    assert message_about(tmp_path, section, {name: value}) == message.replace("{}", name)


def test_a_url_under_its_name_in_java(tmp_path: Path) -> None:
    """The message is about this property, and not about a missing url."""
    content = configuration.sections("127.0.0.1:1", "http://127.0.0.1:1")
    content["schema_registry"] = {"schema.registry.url": "http://127.0.0.1:1"}
    file = configuration.write(tmp_path / "x.ini", content)
    complaint = "schema.registry.url is a Java client property; write url in [schema_registry]"
    assert inside.run([str(file)]) == (2, "", f"{PREFIX}{file}: [schema_registry] {complaint}\n")


def test_a_transaction_longer_than_the_broker_allows(pipeline: Pipeline) -> None:
    pipeline.write([Placed(0, Change(Op.INSERT, Row("ann", 1.0, 1)))])
    pipeline.configure("producer", transaction_timeout_ms="900001")
    assert inside.run(pipeline.arguments("--until-end")) == (
        2,
        "",
        f"{PREFIX}{pipeline.file}: [producer] transaction.timeout.ms is larger than the brokers'"
        " transaction.max.timeout.ms (900000 unless set there); lower it, or remove the line\n",
    )
    pipeline.configure("producer", transaction_timeout_ms="900000")
    assert inside.run(pipeline.arguments("--until-end")).code == 0
