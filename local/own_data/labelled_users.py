"""How many users are labelled, and by how many of their purchases: read from the two topics of labels.

Guarantee: `is_complete` only when every user's row in `user_labeling` counts all of its purchases, and
`user_labeling_final` says of as many users the same.
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

LABELS, FINAL = "user_labeling", "user_labeling_final"
COPIES = 2
"""Statement 4 counts each purchase in the 10 / 5 = 2 windows that it lies in."""
RECORDS = 10_000
FRAME_BYTES = 5
TAKES_BACK = (b"\x01", b"\x03")
"""The header op of a record that takes a row back."""


class LabelledUsers:
    """Both topics from their beginnings, as a read_committed reader sees them."""

    def __init__(self, endpoints: Endpoints, labels: str = LABELS, final: str = FINAL) -> None:
        self._topics, self._labels = Topics(endpoints), labels
        self._schemas: dict[str, Any] = {}
        self._counted: dict[bytes, int] = {}
        self._final: Counter[str] = Counter()
        self._n_counted = self._n_final = 0
        self._consumer = Consumer(
            {
                "bootstrap.servers": endpoints.bootstrap_servers,
                "group.id": "labelled",  # none is joined, no offset is committed
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "log_level": 0,
            }
        )
        places = [(topic, number) for topic in (labels, final) for number in range(self._topics.n_partitions(topic))]
        self._consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in places])

    def close(self) -> None:
        """End reading."""
        self._consumer.close()

    @property
    def n_users(self) -> int:
        """How many users are labelled."""
        return len(self._counted)

    @property
    def n_purchases(self) -> int:
        """How many of their purchases their rows count."""
        return self._n_counted // COPIES

    @property
    def n_followed(self) -> int:
        """The same of the rows in `user_labeling_final`; for moments more, while an old row is not taken back yet."""
        return self._n_final // COPIES

    def is_complete(self, n_purchases: int) -> bool:
        """Whether all is counted of so many purchases. No row ever counts more: so each one counts all."""
        counts = (self._n_counted, self._n_final)
        return counts == (COPIES * n_purchases, COPIES * n_purchases) and len(self._final) == self.n_users

    def read(self, seconds: float) -> None:
        """Take what has come, and wait so long for it if there is nothing."""
        for message in self._consumer.consume(RECORDS, seconds):
            if message.error():
                raise KafkaException(message.error())
            if message.topic() == self._labels:
                self._take_label(message)
            else:
                self._take_final(message)

    def _take_label(self, message: Message) -> None:
        """The newest row of a user counts; without a value there is none any more."""
        key = message.key() or b""
        self._n_counted -= self._counted.pop(key, 0)
        if message.value() is not None:
            self._counted[key] = self._row(message)["num_transactions"]
            self._n_counted += self._counted[key]

    def _take_final(self, message: Message) -> None:
        """A row is added or taken back; the two come in any order."""
        row = self._row(message)
        sign = -1 if dict(message.headers() or []).get("op") in TAKES_BACK else 1
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
