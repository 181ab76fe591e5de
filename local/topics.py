"""Topics and schemas as Confluent Cloud makes them for a table."""

from __future__ import annotations

from collections.abc import Mapping

import requests
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from local.confluent_sql import Table, duration_ms
from local.flink_tables import Endpoints, key_schema, value_schema

ANSWER_SECONDS = 15.0
CLEANUP = {"delete": "delete", "compact": "compact", "delete-compact": "compact,delete"}


class Topics:
    """The broker's topics and the registry's schemas."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.endpoints = endpoints
        self._admin = AdminClient({"bootstrap.servers": endpoints.bootstrap_servers, "log_level": 0})

    def exists(self, name: str) -> bool:
        """Whether there is a topic of this name."""
        return name in self._admin.list_topics(timeout=ANSWER_SECONDS).topics

    def create(self, name: str, partitions: int, config: Mapping[str, str] | None = None) -> bool:
        """Make a topic; False if there is one already."""
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config or {}))
        try:
            self._admin.create_topics([topic], request_timeout=ANSWER_SECONDS)[name].result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            raise
        return True

    def create_table(self, table: Table) -> bool:
        """Make the table's topic and register its schemas; False, and nothing done, if the topic is there already."""
        if not self.create(table.name, table.buckets, _config(table)):
            return False
        self.register(f"{table.name}-value", value_schema(table))
        key = key_schema(table)
        if key is not None:
            self.register(f"{table.name}-key", key)
        return True

    def register(self, subject: str, schema: str) -> None:
        """Register an Avro schema."""
        url = f"{self.endpoints.registry_url}/subjects/{subject}/versions"
        requests.post(url, json={"schema": schema}, timeout=ANSWER_SECONDS).raise_for_status()

    def schema(self, subject: str) -> str | None:
        """The subject's latest schema, None if there is no such subject."""
        url = f"{self.endpoints.registry_url}/subjects/{subject}/versions/latest"
        answer = requests.get(url, timeout=ANSWER_SECONDS)
        if answer.status_code == requests.codes.not_found:
            return None
        answer.raise_for_status()
        return str(answer.json()["schema"])


def _config(table: Table) -> dict[str, str]:
    config = {}
    if "kafka.cleanup-policy" in table.options:
        config["cleanup.policy"] = CLEANUP[table.options["kafka.cleanup-policy"]]
    if "kafka.retention.time" in table.options:
        retention_ms = duration_ms(table.options["kafka.retention.time"])
        # Confluent's 0 means for ever, which Kafka writes as -1.
        config["retention.ms"] = str(retention_ms or -1)
    return config
