"""Counts the labelled users and their purchases, read from `user_labeling` and `user_labeling_final`.

Guarantee: `is_complete` only when every user's row in `user_labeling` counts all purchases of that user, and
`user_labeling_final` has the same number of users and purchases.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import fastavro
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from local.sql.flink_tables import Endpoints
from local.sql.topics import Topics

LABELS = "user_labeling"
FINAL = "user_labeling_final"
COPIES = 2
"""Statement 4 counts each purchase in its 10 / 5 = 2 windows."""
RECORDS = 10_000
FRAME_BYTES = 5
RETRACTIONS = (b"\x01", b"\x03")
"""The values of the header op of a retraction."""


class LabelledUsers:
    """Reads both topics from their beginnings with read_committed."""

    def __init__(self, endpoints: Endpoints, labels: str = LABELS, final: str = FINAL) -> None:
        self._topics = Topics(endpoints)
        self._labels = labels
        self._schemas: dict[str, Any] = {}
        self._counted: dict[bytes, int] = {}
        self._final: Counter[str] = Counter()
        self._n_counted = 0
        self._n_final = 0
        self._consumer = Consumer(
            {
                "bootstrap.servers": endpoints.bootstrap_servers,
                "group.id": "labelled",  # the consumer joins no group and commits no offset
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "log_level": 0,
            }
        )
        self._consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic in (labels, final)
                for partition in range(self._topics.n_partitions(topic))
            ]
        )

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    @property
    def n_users(self) -> int:
        """The number of labelled users."""
        return len(self._counted)

    @property
    def n_purchases(self) -> int:
        """The number of purchases that the rows in `user_labeling` count."""
        return self._n_counted // COPIES

    @property
    def n_final_purchases(self) -> int:
        """The number that the rows in `user_labeling_final` count; too many until an old row is retracted."""
        return self._n_final // COPIES

    def is_complete(self, n_purchases: int) -> bool:
        """Return whether all of ``n_purchases`` are counted. No row counts too many, so then each row is complete."""
        expected = COPIES * n_purchases
        all_counted = self._n_counted == expected and self._n_final == expected
        return all_counted and len(self._final) == self.n_users

    def read(self, seconds: float) -> None:
        """Read the records that have arrived; wait up to ``seconds`` for the first."""
        for message in self._consumer.consume(RECORDS, seconds):
            if message.error():
                raise KafkaException(message.error())
            if message.topic() == self._labels:
                self._apply_label(message)
            else:
                self._apply_final(message)

    def _apply_label(self, message: Message) -> None:
        """Replace the row of a user; a tombstone deletes it."""
        key = message.key() or b""
        self._n_counted -= self._counted.pop(key, 0)
        if message.value() is not None:
            self._counted[key] = self._row(message)["num_transactions"]
            self._n_counted += self._counted[key]

    def _apply_final(self, message: Message) -> None:
        """Add or retract a row; the two may arrive in either order."""
        row = self._row(message)
        sign = -1 if dict(message.headers() or []).get("op") in RETRACTIONS else 1
        self._n_final += sign * row["num_transactions"]
        self._final[row["user_id"]] += sign
        if not self._final[row["user_id"]]:
            del self._final[row["user_id"]]

    def _row(self, message: Message) -> Mapping[str, Any]:
        topic = str(message.topic())
        if topic not in self._schemas:
            self._schemas[topic] = fastavro.parse_schema(json.loads(self._topics.schema(f"{topic}-value") or "{}"))
        body = io.BytesIO(message.value() or b"")
        body.seek(FRAME_BYTES)
        row: Mapping[str, Any] = fastavro.schemaless_reader(body, self._schemas[topic], None)  # type: ignore[assignment]
        return row
