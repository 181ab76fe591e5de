"""--check on real services: what exists, what is missing, and that a check changes nothing."""

import logging
import re
from typing import Any

import pytest
from confluent_kafka import ShareConsumer

from local.services.process import free_port
from tests.support import inside
from tests.support.changelog import Row, aggregation, place_by_hash
from tests.support.client import Finished
from tests.support.pipeline import Pipeline
from tests.support.registry_proxy import RegistryProxy
from tests.support.topics import Outgoing
from tests.support.waiting import wait_until
from tests.support.wire import AGGREGATE_SCHEMA, Headers, body, frame

OTHER_SCHEMA = {"type": "record", "name": "other", "fields": [{"name": "user_id", "type": "long"}]}


def check(pipeline: Pipeline, *more: str) -> Finished:
    """Run --check."""
    return inside.run(pipeline.arguments("--check", *more))


def to_do(finished: Finished) -> list[str]:
    """The lines that begin with TO DO; the exit code must match."""
    found = [line.removeprefix("TO DO   ") for line in finished.stdout.splitlines() if line.startswith("TO DO")]
    assert finished.code == (1 if found else 0), finished.output
    assert finished.stdout.splitlines()[-1] == (f"{len(found)} to do; then run --check again" if found else "ready")
    return found


def test_before_and_after_the_first_run(pipeline: Pipeline) -> None:
    pipeline.write(place_by_hash(aggregation(seed=1, n_users=12, n_transactions=20), 1))
    first = check(pipeline)
    assert to_do(first) == []
    assert not pipeline.subjects.exists(f"{pipeline.output}-value"), "a check registers nothing"
    assert pipeline.offsets() == {}
    assert (
        f"unknown transactional id user_classifier-{pipeline.group}-{pipeline.output}: needs permission WRITE"
        in first.stdout
    )
    inside.run_to_end(pipeline.arguments())
    before = pipeline.topics.read(pipeline.output), pipeline.offsets()
    lines = check(pipeline).stdout.splitlines()
    assert (pipeline.topics.read(pipeline.output), pipeline.offsets()) == before
    for line in (
        "ok      [consumer] bootstrap.servers and credentials: 1 broker reached by PLAINTEXT",
        f"ok      topic {pipeline.source}: 1 partition",
        f"ok      topic {pipeline.output}, permission WRITE: granted",
        f"ok      topic {pipeline.output}, cleanup.policy: compact",
        f"ok      group {pipeline.group}, permission READ: granted",
        f"ok      subject {pipeline.output}-value: fits",
        "ready",
    ):
        assert line in lines


def test_topics_that_are_missing(pipeline: Pipeline) -> None:
    for topic in (pipeline.source, pipeline.output):
        pipeline.topics.delete(topic)
    found = to_do(check(pipeline, "--error-handling-mode", "log", "--error-handling-log-target", "letters"))
    create = "does not exist; check its name, or create it: confluent kafka topic create"
    assert found == [
        f"topic {pipeline.source}: {create} {pipeline.source}",
        f"topic {pipeline.output}: {create} {pipeline.output} --config cleanup.policy=compact",
        f"topic letters: {create} letters",
    ]


def test_an_output_that_is_not_compacted_and_subjects_that_do_not_fit(pipeline: Pipeline) -> None:
    uncompacted = f"{pipeline.output}_uncompacted"
    pipeline.topics.create(uncompacted)
    pipeline.subjects.register(f"{uncompacted}-key", OTHER_SCHEMA)
    assert to_do(check(pipeline, "-o", uncompacted)) == [
        f"topic {uncompacted}, cleanup.policy: delete, so labels of quiet users will be deleted; to fix it:"
        f" confluent kafka topic update {uncompacted} --config cleanup.policy=compact",
        f"subject {uncompacted}-key: is not a record of one string user_id; delete the subject or choose another topic",
    ]


@pytest.mark.parametrize("in_header", [False, True])
def test_values_whose_subject_does_not_name_the_topic(in_header: bool, pipeline: Pipeline) -> None:
    """As with RecordNameStrategy."""
    topic = f"{pipeline.source}_records"
    pipeline.topics.create(topic, 1)

    def write(schema: Any, row: Any) -> str:
        schema_id = pipeline.subjects.register(f"{topic}.{schema['name']}", schema)
        prefix, value = frame(schema_id, b""), body(schema, row)
        headers: Headers = [("__value_schema_id", prefix)] if in_header else []
        pipeline.topics.write(topic, [Outgoing(0, value if in_header else prefix + value, headers)])
        return f"subject {topic}-value: does not exist; schema id {schema_id} of {topic} [0] at offset "

    (empty,) = to_do(check(pipeline, "-t", topic))
    assert empty.endswith("-value: does not exist; write to the topic once, or run the SQL statement that creates it")
    other = write(OTHER_SCHEMA, {"user_id": 1})
    assert to_do(check(pipeline, "-t", topic)) == [f"{other}0: has no field total_amount; read another topic with -t"]
    right = write(AGGREGATE_SCHEMA, Row("ann", 1.0, 1)._asdict())
    found = check(pipeline, "-t", topic)
    assert to_do(found) == []
    assert f"ok      {right}1: user_id, total_amount, num_transactions\n" in found.stdout


def test_values_without_a_subject_that_are_not_avro(pipeline: Pipeline) -> None:
    topic = f"{pipeline.source}_text"
    pipeline.topics.create(topic, 1)
    pipeline.topics.write(topic, [Outgoing(0, b"ann", [])])
    assert to_do(check(pipeline, "-t", topic)) == [
        f"subject {topic}-value: does not exist; {topic} [0] at offset 0: not Confluent Avro (first byte 0x61); read"
        " another topic with -t"
    ]


def test_an_id_that_a_share_group_uses(pipeline: Pipeline) -> None:
    servers = {"bootstrap.servers": pipeline.topics.bootstrap_servers}
    other = ShareConsumer({**servers, "group.id": pipeline.group}, logger=logging.getLogger("librdkafka"))
    try:
        other.subscribe([pipeline.source])

        def found() -> list[str]:
            other.poll(0.1)  # joins the group
            return to_do(check(pipeline))

        used = "a group of another type, such as a share group, has this id; choose another group with -g"
        assert wait_until(found, "the share group") == [f"group {pipeline.group}: {used}"]
    finally:
        other.close()


@pytest.mark.parametrize("section", ["consumer", "producer"])
def test_a_broker_that_does_not_answer(section: str, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.kafka.client.CONNECT_ATTEMPTS", 2)
    pipeline.configure(section, bootstrap_servers=f"127.0.0.1:{free_port()}")
    (line,) = to_do(check(pipeline))
    assert re.fullmatch(
        rf"\[{section}\] bootstrap.servers and credentials: cannot reach the brokers: .*Connection refused.*;"
        " check host, port and security.protocol",
        line,
    )


def test_a_registry_that_does_not_answer(pipeline: Pipeline) -> None:
    pipeline.configure("schema_registry", url=f"http://127.0.0.1:{free_port()}")
    (line,) = to_do(check(pipeline))
    assert line.startswith("[schema_registry] url and credentials: Schema Registry http://127.0.0.1:")
    assert ": no answer (" in line
    assert line.endswith("; check [schema_registry] url")


class ReadOnly(RegistryProxy):
    """A registry in mode READONLY."""

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        if "/mode" in path:
            return 200, "application/json", b'{"mode": "READONLY"}'
        if method == "POST":
            return 422, "application/json", b'{"error_code": 42205, "message": "it is in read-only mode"}'
        return super().answer(method, path, headers, body)


def test_a_registry_that_is_read_only(pipeline: Pipeline) -> None:
    """A check finds out beforehand what the first start would end in; the registry of all tests can be written."""
    subject = f"subject {pipeline.output}-value"
    advice = "set the mode of the registry, or of this subject, to READWRITE"
    assert to_do(check(pipeline)) == []
    with ReadOnly(pipeline.subjects.url) as registry:
        pipeline.configure("schema_registry", url=registry.url)
        assert to_do(check(pipeline)) == [
            f"{subject}: does not exist, and no start can register it in mode READONLY; {advice}"
        ]
        started = inside.run(pipeline.arguments("--until-end"))
    assert started.code == 1
    assert started.stderr.splitlines()[-1] == (
        f"user_classifier.py: error: Schema Registry {registry.url}: cannot register {subject}: HTTP 422 (it is in"
        f" read-only mode); {advice}"
    )


def test_a_mistake_in_the_file_is_the_same_error_as_in_a_run(pipeline: Pipeline) -> None:
    pipeline.configure("producer", acks="sometimes")
    finished = check(pipeline)
    assert (finished.code, finished.stdout) == (2, "")
    assert finished.stderr.startswith(f"user_classifier.py: error: {pipeline.file}: [producer] acks: ")
