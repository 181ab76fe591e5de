"""A cluster and its registry as one principal sees them, for --check."""

import json
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, ConsumerGroupState, KafkaError, KafkaException
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]
from confluent_kafka.schema_registry.error import SchemaRegistryError

from classifier.config.settings import Settings
from classifier.kafka.client import Kafka
from classifier.serialization.registry import ReadOnlyRegistry
from classifier.stop import StopRequest
from tests.support.fakes import FakeBroker, FakeConsumer

READ = AclOperation.READ
WRITE = AclOperation.WRITE


def schema(**kinds: Any) -> str:
    """The schema of a record whose fields are all nullable."""
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
    return KafkaException(KafkaError(code, "reason of the broker"))


@dataclass
class FakeAdmin:
    """A cluster as one principal sees it. Value of a topic: its permissions, None if not reported, or the error."""

    topics: dict[str, Any] = field(default_factory=dict)
    group: Any = (READ,)
    policy: str | None = "compact"
    reached: KafkaException | None = None
    refusals: int = 1000
    attempts: int = 0
    group_failures: list[KafkaException] = field(default_factory=list)
    group_state: ConsumerGroupState = ConsumerGroupState.STABLE
    listed: Any = ()
    """The groups with this id, of any type, or the error."""
    broker_config: Mapping[str, str] | None = None
    """None without the permission to read it."""

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
        described = SimpleNamespace(partitions=range(6), authorized_operations=found)
        return {name: done(found if isinstance(found, KafkaException) else described)}

    def describe_consumer_groups(self, groups: list[str], **options: Any) -> Mapping[str, Future[Any]]:
        if self.group_failures:
            return {groups[0]: done(self.group_failures.pop())}
        described = SimpleNamespace(authorized_operations=self.group, state=self.group_state)
        return {groups[0]: done(self.group if isinstance(self.group, KafkaException) else described)}

    def describe_configs(self, resources: list[Any], **options: Any) -> Mapping[Any, Future[Any]]:
        if self.broker_config is None:
            return {resources[0]: done(failure(KafkaError.CLUSTER_AUTHORIZATION_FAILED))}
        return {resources[0]: done({name: SimpleNamespace(value=each) for name, each in self.broker_config.items()})}

    def list_groups(self, group: str, timeout: float) -> Any:
        if isinstance(self.listed, KafkaException):
            raise self.listed
        return self.listed


@dataclass
class FakeRegistry:
    """Subjects, or the error that every call raises."""

    subjects: dict[str, str] = field(default_factory=dict)
    schema_type: str = "AVRO"
    error: Exception | None = None
    list_error: Exception | None = None
    mode: str = "READWRITE"

    def get_global_mode(self) -> str:
        return self.mode

    def get_mode(self, subject_name: str) -> str:
        raise SchemaRegistryError(404, 40409, "no mode of its own")

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
        return SimpleNamespace(schema_type=self.schema_type, schema_str=text, references=[])


def as_the_client_sees(registry: FakeRegistry) -> ReadOnlyRegistry:
    """The client's registry over this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("confluent_kafka.schema_registry.SchemaRegistryClient", lambda properties: registry)
        return ReadOnlyRegistry({"url": "http://registry"}, StopRequest())


class FakeKafka(Kafka):
    """Returns these clients."""

    def __init__(
        self, settings: Settings, consumer: AdminClient, producer: AdminClient, broker: FakeBroker | None = None
    ) -> None:
        super().__init__(replace(settings, consumer={"bootstrap.servers": "host:9092"}), StopRequest())
        self._admins = {"consumer": consumer, "producer": producer}
        self._broker = broker or FakeBroker()

    def consumer(self) -> Consumer:
        """See Kafka."""
        return cast(Consumer, FakeConsumer(self._broker, seed=0))

    def admin(self, section: str) -> AdminClient:
        """See Kafka."""
        return self._admins[section]

    def topic_config(self, topic: str) -> Mapping[str, str]:
        """See Kafka."""
        policy = cast(FakeAdmin, self._admins["consumer"]).policy
        return {} if policy is None else {"cleanup.policy": policy}
