"""Topics and schemas as Confluent Cloud creates them for a table."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

import requests
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    TopicMetadata,
)

from local.services.process import ServiceError
from local.sql.confluent_sql import Table, duration_ms
from local.sql.flink_tables import Endpoints, key_schema, value_schema

ANSWER_SECONDS = 15.0
LEADER_SECONDS = 30.0
"""The longest time until each partition of a new topic has a leader; milliseconds on an idle machine."""
POLL_SECONDS = 0.05
CLEANUP = {"delete": "delete", "compact": "compact", "delete-compact": "compact,delete"}


class RegisteredSchema(NamedTuple):
    """A schema and its id in the registry."""

    schema_id: int
    schema: str


class Topics:
    """The broker's topics and the registry's schemas."""

    def __init__(self, endpoints: Endpoints, admin: AdminClient | None = None) -> None:
        self.endpoints = endpoints
        if admin is None:
            admin = AdminClient({"bootstrap.servers": endpoints.bootstrap_servers, "log_level": 0})
        self._admin = admin

    def exists(self, name: str) -> bool:
        """Return whether the topic exists."""
        return name in self._admin.list_topics(timeout=ANSWER_SECONDS).topics

    def n_partitions(self, name: str) -> int:
        """Return the number of partitions of an existing topic."""
        return len(self._admin.list_topics(timeout=ANSWER_SECONDS).topics[name].partitions)

    def is_empty(self, name: str) -> bool:
        """Return whether nothing was ever written to an existing topic."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        ends = {TopicPartition(name, number): latest for number in range(self.n_partitions(name))}
        answers = self._admin.list_offsets(ends, request_timeout=ANSWER_SECONDS).values()
        return all(answer.result().offset == 0 for answer in answers)

    def create(self, name: str, partitions: int, config: Mapping[str, str] | None = None) -> bool:
        """Create a topic, wait until it can be read and written, and return whether it is new."""
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config or {}))
        is_new = True
        try:
            self._admin.create_topics([topic], request_timeout=ANSWER_SECONDS)[name].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            is_new = False
        self._wait_for_leaders(name, partitions if is_new else 1)
        return is_new

    def create_table(self, table: Table) -> bool:
        """Create the table's topic, register its schemas, and return whether the topic is new."""
        is_new = self.create(table.name, table.buckets, _config(table))
        self.register_schemas(table)
        return is_new

    def register_schemas(self, table: Table) -> None:
        """Register the schemas that are missing, for example after an interrupted CREATE TABLE."""
        if self.schema(f"{table.name}-value") is not None:
            return
        key = key_schema(table)
        # The key's schema first: a topic that has only a value schema has raw keys, and they must stay raw.
        if key is not None and self.schema(f"{table.name}-key") is None:
            self.register(f"{table.name}-key", key)
        self.register(f"{table.name}-value", value_schema(table))

    def is_compacted(self, name: str) -> bool:
        """Return whether the topic is compacted."""
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        answer = self._admin.describe_configs([resource], request_timeout=ANSWER_SECONDS)[resource].result()
        return "compact" in answer["cleanup.policy"].value.split(",")

    def register(self, subject: str, schema: str) -> None:
        """Register an Avro schema."""
        url = f"{self.endpoints.registry_url}/subjects/{subject}/versions"
        requests.post(url, json={"schema": schema}, timeout=ANSWER_SECONDS).raise_for_status()

    def schema(self, subject: str) -> str | None:
        """Return the subject's latest schema; None if the subject does not exist."""
        found = self.latest_schema(subject)
        return None if found is None else found.schema

    def latest_schema(self, subject: str) -> RegisteredSchema | None:
        """Return the subject's latest schema with its id; None if the subject does not exist."""
        url = f"{self.endpoints.registry_url}/subjects/{subject}/versions/latest"
        answer = requests.get(url, timeout=ANSWER_SECONDS)
        if answer.status_code == requests.codes.not_found:
            return None
        answer.raise_for_status()
        document = answer.json()
        return RegisteredSchema(int(document["id"]), str(document["schema"]))

    def _wait_for_leaders(self, name: str, partitions: int) -> None:
        # The controller creates a topic; the broker's metadata have it a moment later.
        deadline = time.monotonic() + LEADER_SECONDS
        while not _is_led(self._admin.list_topics(timeout=ANSWER_SECONDS).topics.get(name), partitions):
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"topic {name}: its partitions have no leader after {LEADER_SECONDS:.0f} s; "
                    "restart the stack: make down, make up"
                )
            time.sleep(POLL_SECONDS)


def _is_led(topic: TopicMetadata | None, partitions: int) -> bool:
    if topic is None or topic.error is not None or len(topic.partitions) < partitions:
        return False
    return all(partition.leader >= 0 for partition in topic.partitions.values())


def _config(table: Table) -> dict[str, str]:
    config = {}
    if "kafka.cleanup-policy" in table.options:
        config["cleanup.policy"] = CLEANUP[table.options["kafka.cleanup-policy"]]
    if "kafka.retention.time" in table.options:
        retention_ms = duration_ms(table.options["kafka.retention.time"])
        # 0 means unlimited in Confluent Cloud, -1 in Kafka.
        config["retention.ms"] = str(retention_ms or -1)
    return config
