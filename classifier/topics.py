"""The topics that a run needs: what each is for, whether it is there, and what makes it."""

import logging

from confluent_kafka import Consumer

from classifier.errors import TopicMissing
from classifier.kafka import Kafka
from classifier.settings import Settings
from classifier.source import Topic

log = logging.getLogger("user_classifier")

SQL_OF = {
    "transactions_aggregate": "run sql/3_create_transactions_aggregate.sql",
    "user_labeling": "run sql/5_create_user_labeling.sql",
    "user_cells": "run sql/scale_out/1_create_user_cells.sql",
    "user_cell_labels": "run sql/scale_out/3_create_user_cell_labels.sql",
}


def missing(topic: str, settings: Settings) -> str:
    """Say that a topic does not exist, and what makes it."""
    compact = " --config cleanup.policy=compact" if topic in compacted(settings) else ""
    make = SQL_OF.get(topic, f"confluent kafka topic create {topic}{compact}")
    return f"topic {topic} does not exist; check its name, or make it: {make}"


def compacted(settings: Settings) -> tuple[str, ...]:
    """Return the topics of which the last record of every key has to stay: each start reads them from the beginning."""
    return (settings.topic, settings.output) if settings.cells else (settings.output,)


def not_compacted(topic: str, policy: str, settings: Settings) -> str:
    """Say what another cleanup.policy does to a topic that has to be compacted."""
    lost = "numbers" if topic == settings.topic else "labels"
    lost += " of quiet cells" if settings.cells else " of quiet users"
    mend = f"confluent kafka topic update {topic} --config cleanup.policy=compact"
    return f"topic {topic} has cleanup.policy {policy}, so {lost} will be deleted; to mend it: {mend}"


def roles(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the topics, and the operations on each."""
    found: dict[str, tuple[str, ...]] = {settings.topic: ("READ",), settings.output: ("READ", "WRITE")}
    if settings.error_handling_mode == "log":
        found[settings.error_handling_log_target] = ("WRITE",)
    return found


def check_topics(settings: Settings, kafka: Kafka, consumer: Consumer) -> None:
    """Raise TopicMissing with what makes the topic; warn of one that forgets."""
    for name, operations in roles(settings).items():
        if not Topic(kafka, consumer, name).partitions(operations[0].lower()):
            raise TopicMissing(missing(name, settings))
    for name in compacted(settings):
        policy = kafka.cleanup_policy(name)
        if policy not in (None, "compact"):
            log.warning(not_compacted(name, policy, settings))
