"""Topics and schemas: a topic is made when the broker says so, a table when its last schema is registered."""

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
    """A broker whose metadata follow a step later at each question: partition -> leader, None for an absent topic."""

    def __init__(self, *answers: Mapping[int, int] | None, refusal: int | None = None) -> None:
        self.answers, self.refusal, self.asked = list(answers), refusal, 0

    def create_topics(self, new_topics: list[Any], **kwargs: Any) -> dict[str, Future[Any]]:
        """Made, or refused with a code."""
        done: Future[Any] = Future()
        if self.refusal is None:
            done.set_result(None)
        else:
            done.set_exception(KafkaException(KafkaError(self.refusal)))
        return {topic.topic: done for topic in new_topics}

    def list_topics(self, *args: Any, **kwargs: Any) -> Any:
        """The next answer, the last one for ever."""
        self.asked += 1
        leaders = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if leaders is None:
            return SimpleNamespace(topics={})
        partitions = {number: SimpleNamespace(leader=leader) for number, leader in leaders.items()}
        return SimpleNamespace(topics={"t": SimpleNamespace(error=None, partitions=partitions)})


class Registry(Topics):
    """Topics whose schemas are kept here, in the order of registration."""

    def __init__(self, admin: Admin, *subjects: str) -> None:
        super().__init__(Endpoints("broker:1", "http://registry"), cast(AdminClient, admin))
        self.subjects = dict.fromkeys(subjects, "as it was")

    def register(self, subject: str, schema: str) -> None:
        """Keep it."""
        self.subjects[subject] = json.loads(schema)["name"]

    def schema(self, subject: str) -> str | None:
        """What was kept."""
        return self.subjects.get(subject)


def a_broker(*answers: Mapping[int, int] | None, refusal: int | None = None) -> tuple[Topics, Admin]:
    """Topics on a broker that answers so."""
    admin = Admin(*answers, refusal=refusal)
    return Topics(Endpoints("broker:1", "http://registry"), cast(AdminClient, admin)), admin


@pytest.mark.parametrize(
    "late",
    [[None, None], [{}], [{0: 1}], [{0: 1, 1: -1}]],
    ids=["absent", "without partitions", "one partition of two", "without a leader"],
)
def test_created_once_every_partition_has_a_leader(late: list[Mapping[int, int] | None]) -> None:
    """Whoever is told that the topic was made finds it."""
    broker, admin = a_broker(*late, {0: 1, 1: 1})
    assert broker.create("t", 2)
    assert admin.asked == len(late) + 1


def test_topic_that_is_there_already_is_waited_for_too() -> None:
    """The run that made it was ended before it had a leader; how many partitions it has is no matter here."""
    broker, admin = a_broker(None, {0: -1}, {0: 1}, refusal=KafkaError.TOPIC_ALREADY_EXISTS)
    assert not broker.create("t", 2)
    assert admin.asked == 3


def test_topic_without_a_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for ever; what to type then."""
    monkeypatch.setattr(topics, "LEADER_SECONDS", 0.0)
    broker, _ = a_broker({0: 1, 1: -1})
    with pytest.raises(ServiceError) as caught:
        broker.create("t", 2)
    assert str(caught.value) == (
        "topic t: the broker names no leader of its partitions after 0 s; start the stack again: make down, make up"
    )


def test_refused_topic() -> None:
    """Anything else than that it is there is the caller's to see, at once."""
    broker, admin = a_broker(None, refusal=KafkaError.INVALID_PARTITIONS)
    with pytest.raises(KafkaException, match="INVALID_PARTITIONS"):
        broker.create("t", 2)
    assert admin.asked == 0


@pytest.mark.parametrize(
    ("found", "registered"),
    [
        ([], {"t-key": "t_key", "t-value": "t_value"}),
        (["t-key"], {"t-key": "as it was", "t-value": "t_value"}),
        (["t-key", "t-value"], {"t-key": "as it was", "t-value": "as it was"}),
        (["t-value"], {"t-value": "as it was"}),
    ],
    ids=["ended before the key's", "ended between the two", "complete", "plain keys"],
)
def test_table_is_completed(found: list[str], registered: dict[str, str]) -> None:
    """What is missing is registered, the value's last; a value schema alone says that keys are plain."""
    registry = Registry(Admin({0: 1}, refusal=KafkaError.TOPIC_ALREADY_EXISTS), *found)
    assert not registry.create_table(LABELS)
    assert registry.subjects == registered
    assert list(registry.subjects)[-1] == "t-value"


def test_table_of_plain_keys_has_one_schema() -> None:
    """As for a topic made by hand."""
    registry = Registry(Admin({0: 1, 1: 1}))
    assert registry.create_table(with_key_format(LABELS, "raw"))
    assert registry.subjects == {"t-value": "t_value"}
