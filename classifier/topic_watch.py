"""Whether the topics of a run are still the ones that were restored.

A topic deleted and made again has another id, and the old offsets may fit it by chance. So no step is committed before
the brokers have said, after the last record of the step was read, that ids and partitions are those of the restore.
"""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, TopicCollection

from classifier.errors import MISSING, TopicMissing, TopicsChanged
from classifier.kafka import CALL_TIMEOUT_SECONDS, Kafka
from classifier.outage import pause
from classifier.settings import Settings
from classifier.topics import missing, roles

NO_ID = 22 * "A"  # of brokers older than 2.8
LOOKS_BEFORE_MISSING = 4  # a broker that has just started may not know each topic yet


class Seen(NamedTuple):
    """A topic as the brokers describe it."""

    topic_id: str
    n_partitions: int


class TopicWatch:
    """Knows each topic by its id; `ask` does not wait, the answer comes while the table is fitted."""

    def __init__(self, kafka: Kafka, settings: Settings) -> None:
        self._kafka, self._settings = kafka, settings
        self._names, self._admin = tuple(roles(settings)), kafka.admin("consumer")
        self._asked: Mapping[str, Future[Any]] | None = None
        self.seen: dict[str, Seen] = {}  # at the restore

    def begin(self) -> None:
        """Take the topics as they are; TopicMissing for one that does not exist."""
        found = self._present()
        if isinstance(found, str):
            told = f"topic {found} was deleted while it was in use; " if self.seen else ""
            raise TopicMissing(told + missing(found, self._settings))
        self.seen = found

    def id_of(self, topic: str) -> str:
        """Return the id of a topic at the restore; nothing where the brokers tell none."""
        return self.seen[topic].topic_id if topic in self.seen else ""

    def ask(self) -> None:
        """Ask the brokers for the topics as they are now."""
        self._asked = self._admin.describe_topics(
            TopicCollection(list(self._names)), request_timeout=CALL_TIMEOUT_SECONDS
        )

    def check(self) -> None:
        """Raise TopicsChanged where a topic is not as it was at the restore, or has gone."""
        found = self._present()
        if isinstance(found, str):
            raise TopicsChanged(f"topic {found} is not there any more")
        for name, now in found.items():
            before = self.seen[name]
            if now.topic_id != before.topic_id:
                raise TopicsChanged(f"topic {name} was deleted and made anew")
            if now.n_partitions > before.n_partitions:
                raise TopicsChanged(f"topic {name} has new partitions")

    def _present(self) -> dict[str, Seen] | str:
        """Return the topics, or the name of one that is not there at several looks."""
        for _ in range(LOOKS_BEFORE_MISSING):
            found = self._kafka.call(f"describe topics {', '.join(self._names)}", self._answer)
            gone = [name for name, seen in found.items() if seen is None]
            if not gone:
                return {name: seen for name, seen in found.items() if seen}
            pause()
        return gone[0]

    def _answer(self) -> dict[str, Seen | None]:
        """Return what was answered, None for a topic that does not exist; the next call asks again."""
        if self._asked is None:
            self.ask()
        asked, self._asked = self._asked or {}, None
        return {name: described(future) for name, future in asked.items()}


def described(answer: Future[Any]) -> Seen | None:
    """Return what the brokers say of a topic, None where it does not exist; KafkaException for all else."""
    try:
        found = answer.result()
    except KafkaException as exception:
        if exception.args[0].code() in MISSING:
            return None
        raise
    topic_id = str(found.topic_id)
    return Seen("" if topic_id == NO_ID else topic_id, len(found.partitions))
