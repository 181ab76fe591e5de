"""The topics of a run: which ones it needs, whether they exist, and whether they were changed during the run."""

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

CREATE_BY_SQL = {  # default topics, and the statement that creates them
    "transactions_aggregate": "run sql/3_create_transactions_aggregate.sql",
    "user_labeling": "run sql/5_create_user_labeling.sql",
    "user_cells": "run sql/scale_out/1_create_user_cells.sql",
    "user_cell_labels": "run sql/scale_out/3_create_user_cell_labels.sql",
}
CHECKS_BEFORE_MISSING = 4  # a broker that has just started may not know all topics yet
NO_ID = 22 * "A"  # the topic id as brokers before 2.8 report it


def topic_operations(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the operations that the run needs on each topic, by the names of Kafka's permissions."""
    found: dict[str, tuple[str, ...]] = {settings.topic: ("READ",), settings.output: ("READ", "WRITE")}
    if settings.error_handling_mode == "log":
        found[settings.error_handling_log_target] = ("WRITE",)
    return found


def compacted_topics(settings: Settings) -> tuple[str, ...]:
    """Return the topics that are read from the beginning at every start.

    They must be compacted, so that they keep the last record of each key.
    """
    return (settings.topic, settings.output) if settings.cells else (settings.output,)


def check_topics(settings: Settings, kafka: Kafka, consumer: Consumer) -> None:
    """Raise TopicMissing for a topic that does not exist; log a warning for one that is not compacted but should be.

    Batches for the topics that are written become as small as they require.
    """
    for name, operations in topic_operations(settings).items():
        if not Topic(kafka, consumer, name).partitions(operations[0].lower()):
            raise TopicMissing(missing_topic_message(name, settings))
        if "WRITE" in operations and not settings.read_only:
            kafka.limit_batches(name)
    for name in compacted_topics(settings):
        policy = kafka.cleanup_policy(name)
        if policy not in (None, "compact"):
            log.warning(not_compacted_message(name, policy, settings))


def missing_topic_message(topic: str, settings: Settings) -> str:
    """Return that a topic does not exist, and how to create it."""
    compact = " --config cleanup.policy=compact" if topic in compacted_topics(settings) else ""
    create = CREATE_BY_SQL.get(topic, f"confluent kafka topic create {topic}{compact}")
    return f"topic {topic} does not exist; check its name, or create it: {create}"


def not_compacted_message(topic: str, policy: str, settings: Settings) -> str:
    """Return what a topic that is not compacted will lose, and how to fix it."""
    lost = "numbers" if topic == settings.topic else "labels"
    lost += " of quiet cells" if settings.cells else " of quiet users"
    fix = f"confluent kafka topic update {topic} --config cleanup.policy=compact"
    return f"topic {topic} has cleanup.policy {policy}, so {lost} will be deleted; to fix it: {fix}"


class TopicIdentity(NamedTuple):
    """Identifies a topic: a recreated one has another id."""

    topic_id: str  # empty if the brokers do not report one
    n_partitions: int


class TopicWatch:
    """Detects that a topic was deleted, recreated or extended since the restore.

    `request` asks the brokers and returns immediately; `check` uses the answer, so that the request runs during a fit.
    """

    def __init__(self, kafka: Kafka, settings: Settings) -> None:
        self.at_restore: dict[str, TopicIdentity] = {}  # by name
        self._kafka = kafka
        self._settings = settings
        self._names = tuple(topic_operations(settings))
        self._admin = kafka.admin("consumer")
        self._requested: Mapping[str, Future[Any]] | None = None

    def start(self) -> None:
        """Record the topics at a restore; raise TopicMissing for one that does not exist."""
        found = self._identities()
        if isinstance(found, str):
            deleted = f"topic {found} was deleted while it was in use; " if self.at_restore else ""
            raise TopicMissing(deleted + missing_topic_message(found, self._settings))
        self.at_restore = found

    def topic_id(self, topic: str) -> str:
        """Return the id of a topic at the restore; empty if the brokers do not report one."""
        return self.at_restore[topic].topic_id if topic in self.at_restore else ""

    def request(self) -> None:
        """Ask the brokers for the topics; the next `check` uses the answer."""
        names = TopicCollection(list(self._names))
        self._requested = self._admin.describe_topics(names, request_timeout=CALL_TIMEOUT_SECONDS)

    def check(self) -> None:
        """Raise TopicsChanged if a topic was deleted, recreated or extended since the restore."""
        found = self._identities()
        if isinstance(found, str):
            raise TopicsChanged(f"topic {found} no longer exists")
        for name, now in found.items():
            before = self.at_restore[name]
            if now.topic_id != before.topic_id:
                raise TopicsChanged(f"topic {name} was deleted and recreated")
            if now.n_partitions > before.n_partitions:
                raise TopicsChanged(f"topic {name} has new partitions")

    def _identities(self) -> dict[str, TopicIdentity] | str:
        """Return the identity of each topic, or the name of one that is missing in several answers."""
        for _ in range(CHECKS_BEFORE_MISSING):
            found = self._kafka.call(f"describe topics {', '.join(self._names)}", self._answer)
            present = {name: identity for name, identity in found.items() if identity is not None}
            if len(present) == len(found):
                return present
            pause()
        return next(name for name in found if name not in present)

    def _answer(self) -> dict[str, TopicIdentity | None]:
        """Return the answer to the last request, or to a new one; None for a topic that does not exist."""
        if self._requested is None:
            self.request()
        requested = self._requested or {}
        self._requested = None  # if the answer is an error, the next call asks again
        return {name: identity_from(future) for name, future in requested.items()}


def identity_from(answer: Future[Any]) -> TopicIdentity | None:
    """Return the identity of a topic from the brokers' answer, None if the topic does not exist."""
    try:
        description = answer.result()
    except KafkaException as exception:
        if exception.args[0].code() in UNKNOWN_TOPIC_CODES:
            return None
        raise
    topic_id = str(description.topic_id)
    return TopicIdentity("" if topic_id == NO_ID else topic_id, len(description.partitions))
