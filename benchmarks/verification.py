"""A check that the client's labels are correct: only then does its time count."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import fastavro
import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from numpy.typing import NDArray

from benchmarks.last_rows import WrongTable
from benchmarks.programs.job import Row
from benchmarks.stack import TIMEOUT_SECONDS, Stack
from tests.support.wire import schema_id_of

CHUNK = 100_000
POLL_SECONDS = 0.1
N_CLUSTERS = 3
PREFIX_BYTES = 5
END_OF_ARRAY = b"\0"

Labelled = dict[str, tuple[float, int, int]]
"""user_id -> total_amount, num_transactions, label"""


def expected_labels(rows: dict[str, Row]) -> Labelled:
    """Return the labels that `user_labeling` must hold for these users."""
    from tests.support import oracle  # imports scikit-learn, which tests that only read results do not need

    labels = oracle.labels(rows, N_CLUSTERS)
    return {user_id: (*row, labels[user_id]) for user_id, row in rows.items()}


def labels_of_fit(
    rows: dict[str, Row], features_of: Callable[[NDArray[np.float64]], NDArray[np.float64]], **options: Any
) -> Labelled:
    """Return the labels of one fit on these users: `cluster` with these options, on what `features_of` the totals is.

    Both arrays have a row for each user; that of the totals has two columns.
    """
    from user_classifier import cluster

    users = sorted(rows)
    totals = np.array([rows[user] for user in users], np.float64)
    labels = cluster(features_of(totals), N_CLUSTERS, **options).labels
    return {user: (*rows[user], label) for user, label in zip(users, labels.tolist(), strict=True)}


def written_labels(stack: Stack, topic: str) -> Labelled:
    """Return the latest label of each user in an output."""
    values = [value for value in last_values(stack, topic).values() if value is not None]
    if not values:
        return {}
    schema: Any = fastavro.parse_schema(stack.subjects.schema(schema_id_of(values[0])))
    body = io.BytesIO()
    fastavro.schemaless_writer(body, "long", len(values))
    body.write(b"".join([value[PREFIX_BYTES:] for value in values]) + END_OF_ARRAY)
    body.seek(0)
    found: Any = fastavro.schemaless_reader(body, {"type": "array", "items": schema}, None)
    return {row["user_id"]: (row["total_amount"], row["num_transactions"], row["label"]) for row in found}


def last_values(stack: Stack, topic: str) -> dict[bytes, bytes | None]:
    """Return the last value of each key."""
    consumer = Consumer(
        {
            "bootstrap.servers": stack.bootstrap_servers,
            "group.id": "verification",
            "enable.auto.commit": "false",
            "enable.partition.eof": "true",
            "isolation.level": "read_committed",
            "log_level": "0",
        }
    )
    partitions = stack.topics.partitions(topic)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    values: dict[bytes, bytes | None] = {}
    ended = 0
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while ended < len(partitions):
        messages = consumer.consume(CHUNK, POLL_SECONDS)
        if time.monotonic() > deadline:
            raise WrongTable(f"{topic}: its end was not reached within {TIMEOUT_SECONDS:.0f} s")
        for message in messages:
            error = message.error()
            key = message.key()
            if error is None and isinstance(key, bytes):
                values[key] = message.value()
            elif error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            else:
                ended += 1
    consumer.close()
    return values


def check_labels(stack: Stack, topic: str, expected: Labelled) -> None:
    """Raise WrongTable unless an output holds exactly the expected labels."""
    found = written_labels(stack, topic)
    if found == expected:
        return
    missing = len(expected.keys() - found.keys())
    unexpected = len(found.keys() - expected.keys())
    differ = [user_id for user_id in expected if user_id in found and found[user_id] != expected[user_id]]
    example = f", e.g. {differ[0]}: {found[differ[0]]}, not {expected[differ[0]]}" if differ else ""
    raise WrongTable(f"{topic}: {missing} users missing, {unexpected} unexpected, {len(differ)} differ{example}")
