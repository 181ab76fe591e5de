"""Topics and schemas: when a topic counts as created, and which schemas of a table are registered."""

import json
from collections.abc import Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from local.services.process import ServiceError
from local.sql import topics
from local.sql.confluent_sql import Column, Table
from local.sql.flink_tables import Endpoints, with_key_format
from local.sql.topics import Topics

LABELS = Table("t", (Column("user_id", "STRING", nullable=False),), ("user_id",), 2, {"value.fields-include": "all"})


class Admin:
    """A broker that returns the given metadata in order: partition -> leader, None for a missing topic."""

    def __init__(self, *answers: Mapping[int, int] | None, error: int | None = None) -> None:
        self.answers = list(answers)
        self.error = error
        self.n_requests = 0

    def create_topics(self, new_topics: list[Any], **kwargs: Any) -> dict[str, Future[Any]]:
        """Create the topic, or fail with the error code."""
        done: Future[Any] = Future()
        if self.error is None:
            done.set_result(None)
        else:
            done.set_exception(KafkaException(KafkaError(self.error)))
        return {topic.topic: done for topic in new_topics}

    def list_topics(self, *args: Any, **kwargs: Any) -> Any:
        """Return the next metadata; the last ones are repeated."""
        self.n_requests += 1
        leaders = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if leaders is None:
            return SimpleNamespace(topics={})
        partitions = {number: SimpleNamespace(leader=leader) for number, leader in leaders.items()}
        return SimpleNamespace(topics={"t": SimpleNamespace(error=None, partitions=partitions)})


class Registry(Topics):
    """Topics with schemas in memory, in the order of registration."""

    def __init__(self, admin: Admin, *subjects: str) -> None:
        super().__init__(Endpoints("broker:1", "http://registry"), cast(AdminClient, admin))
        self.subjects = dict.fromkeys(subjects, "existing")

    def register(self, subject: str, schema: str) -> None:
        """Store the schema's name."""
        self.subjects[subject] = json.loads(schema)["name"]

    def schema(self, subject: str) -> str | None:
        """Return the stored name."""
        return self.subjects.get(subject)


def topics_on(*answers: Mapping[int, int] | None, error: int | None = None) -> tuple[Topics, Admin]:
    """Return topics on a broker with these metadata."""
    admin = Admin(*answers, error=error)
    return Topics(Endpoints("broker:1", "http://registry"), cast(AdminClient, admin)), admin


@pytest.mark.parametrize(
    "late",
    [[None, None], [{}], [{0: 1}], [{0: 1, 1: -1}]],
    ids=["missing", "without partitions", "one partition of two", "without a leader"],
)
def test_a_topic_is_created_once_each_partition_has_a_leader(late: list[Mapping[int, int] | None]) -> None:
    """So that the caller can use it."""
    created, admin = topics_on(*late, {0: 1, 1: 1})
    assert created.create("t", 2)
    assert admin.n_requests == len(late) + 1


def test_an_existing_topic_needs_a_leader_too() -> None:
    """The command that created it may have been interrupted; its number of partitions is not checked."""
    created, admin = topics_on(None, {0: -1}, {0: 1}, error=KafkaError.TOPIC_ALREADY_EXISTS)
    assert not created.create("t", 2)
    assert admin.n_requests == 3


def test_a_topic_that_gets_no_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "LEADER_SECONDS", 0.0)
    created, _ = topics_on({0: 1, 1: -1})
    with pytest.raises(ServiceError) as caught:
        created.create("t", 2)
    assert str(caught.value) == (
        "topic t: its partitions have no leader after 0 s; restart the stack: make down, make up"
    )


def test_another_error_is_raised() -> None:
    """Without waiting for a leader."""
    created, admin = topics_on(None, error=KafkaError.INVALID_PARTITIONS)
    with pytest.raises(KafkaException, match="INVALID_PARTITIONS"):
        created.create("t", 2)
    assert admin.n_requests == 0


@pytest.mark.parametrize(
    ("found", "registered"),
    [
        ([], {"t-key": "t_key", "t-value": "t_value"}),
        (["t-key"], {"t-key": "existing", "t-value": "t_value"}),
        (["t-key", "t-value"], {"t-key": "existing", "t-value": "existing"}),
        (["t-value"], {"t-value": "existing"}),
    ],
    ids=["no schema", "key schema only", "both schemas", "raw keys"],
)
def test_missing_schemas_are_registered(found: list[str], registered: dict[str, str]) -> None:
    """The value's last, because a topic with only a value schema has raw keys."""
    registry = Registry(Admin({0: 1}, error=KafkaError.TOPIC_ALREADY_EXISTS), *found)
    assert not registry.create_table(LABELS)
    assert registry.subjects == registered
    assert list(registry.subjects)[-1] == "t-value"


def test_a_table_with_raw_keys_has_one_schema() -> None:
    """Like a topic created by hand."""
    registry = Registry(Admin({0: 1, 1: 1}))
    assert registry.create_table(with_key_format(LABELS, "raw"))
    assert registry.subjects == {"t-value": "t_value"}
