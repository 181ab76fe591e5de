"""The topics that a run needs: what each is for, whether it is there, and what makes it."""

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicCollection

from classifier.config.settings import Settings
from classifier.errors import UNKNOWN_TOPIC_CODES, TopicMissing, TopicsChanged
from classifier.kafka.client import CALL_TIMEOUT_SECONDS, Kafka
from classifier.kafka.source import Topic
from classifier.outage import pause

log = logging.getLogger("user_classifier")

SQL_OF = {
    "transactions_aggregate": "run sql/3_create_transactions_aggregate.sql",
    "user_labeling": "run sql/5_create_user_labeling.sql",
    "user_cells": "run sql/scale_out/1_create_user_cells.sql",
    "user_cell_labels": "run sql/scale_out/3_create_user_cell_labels.sql",
}


def missing_topic_message(topic: str, settings: Settings) -> str:
    """Say that a topic does not exist, and what makes it."""
    compact = " --config cleanup.policy=compact" if topic in compacted_topics(settings) else ""
    make = SQL_OF.get(topic, f"confluent kafka topic create {topic}{compact}")
    return f"topic {topic} does not exist; check its name, or create it: {make}"


def compacted_topics(settings: Settings) -> tuple[str, ...]:
    """Return the topics of which the last record of every key has to stay: each start reads them from the beginning."""
    return (settings.topic, settings.output) if settings.cells else (settings.output,)


def not_compacted_message(topic: str, policy: str, settings: Settings) -> str:
    """Say what another cleanup.policy does to a topic that has to be compacted."""
    lost = "numbers" if topic == settings.topic else "labels"
    lost += " of quiet cells" if settings.cells else " of quiet users"
    mend = f"confluent kafka topic update {topic} --config cleanup.policy=compact"
    return f"topic {topic} has cleanup.policy {policy}, so {lost} will be deleted; to fix it: {mend}"


def topic_operations(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the topics, and the operations on each."""
    found: dict[str, tuple[str, ...]] = {settings.topic: ("READ",), settings.output: ("READ", "WRITE")}
    if settings.error_handling_mode == "log":
        found[settings.error_handling_log_target] = ("WRITE",)
    return found


def check_topics(settings: Settings, kafka: Kafka, consumer: Consumer) -> None:
    """Raise TopicMissing with what makes the topic; warn of one that forgets."""
    for name, operations in topic_operations(settings).items():
        if not Topic(kafka, consumer, name).partitions(operations[0].lower()):
            raise TopicMissing(missing_topic_message(name, settings))
    for name in compacted_topics(settings):
        policy = kafka.cleanup_policy(name)
        if policy not in (None, "compact"):
            log.warning(not_compacted_message(name, policy, settings))


NO_ID = 22 * "A"  # of brokers older than 2.8
CHECKS_BEFORE_MISSING = 4  # a broker that has just started may not know each topic yet


class TopicIdentity(NamedTuple):
    """A topic as the brokers describe it."""

    topic_id: str
    n_partitions: int


class TopicWatch:
    """Knows each topic by its id; `ask` does not wait, the answer comes while the table is fitted."""

    def __init__(self, kafka: Kafka, settings: Settings) -> None:
        self._kafka, self._settings = kafka, settings
        self._names, self._admin = tuple(topic_operations(settings)), kafka.admin("consumer")
        self._requested: Mapping[str, Future[Any]] | None = None
        self.at_restore: dict[str, TopicIdentity] = {}  # at the restore

    def start(self) -> None:
        """Take the topics as they are; TopicMissing for one that does not exist."""
        found = self._present()
        if isinstance(found, str):
            told = f"topic {found} was deleted while it was in use; " if self.at_restore else ""
            raise TopicMissing(told + missing_topic_message(found, self._settings))
        self.at_restore = found

    def topic_id(self, topic: str) -> str:
        """Return the id of a topic at the restore; nothing where the brokers tell none."""
        return self.at_restore[topic].topic_id if topic in self.at_restore else ""

    def request(self) -> None:
        """Ask the brokers for the topics as they are now."""
        self._requested = self._admin.describe_topics(
            TopicCollection(list(self._names)), request_timeout=CALL_TIMEOUT_SECONDS
        )

    def check(self) -> None:
        """Raise TopicsChanged where a topic is not as it was at the restore, or has gone."""
        found = self._present()
        if isinstance(found, str):
            raise TopicsChanged(f"topic {found} no longer exists")
        for name, now in found.items():
            before = self.at_restore[name]
            if now.topic_id != before.topic_id:
                raise TopicsChanged(f"topic {name} was deleted and recreated")
            if now.n_partitions > before.n_partitions:
                raise TopicsChanged(f"topic {name} has new partitions")

    def _present(self) -> dict[str, TopicIdentity] | str:
        """Return the topics, or the name of one that is not there at several looks."""
        for _ in range(CHECKS_BEFORE_MISSING):
            found = self._kafka.call(f"describe topics {', '.join(self._names)}", self._answer)
            gone = [name for name, seen in found.items() if seen is None]
            if not gone:
                return {name: seen for name, seen in found.items() if seen}
            pause()
        return gone[0]

    def _answer(self) -> dict[str, TopicIdentity | None]:
        """Return what was answered, None for a topic that does not exist; the next call asks again."""
        if self._requested is None:
            self.request()
        asked, self._requested = self._requested or {}, None
        return {name: identity_of(future) for name, future in asked.items()}


def identity_of(answer: Future[Any]) -> TopicIdentity | None:
    """Return what the brokers say of a topic, None where it does not exist; KafkaException for all else."""
    try:
        found = answer.result()
    except KafkaException as exception:
        if exception.args[0].code() in UNKNOWN_TOPIC_CODES:
            return None
        raise
    topic_id = str(found.topic_id)
    return TopicIdentity("" if topic_id == NO_ID else topic_id, len(found.partitions))
