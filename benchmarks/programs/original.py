"""The original program's algorithm: for each record, build a DataFrame, encode it densely, fit, write every user.

Reimplemented after Data-Reply/bwc-streaming-UEBA, with the same library calls in a step: a request to the registry, a
new producer, a log line for each delivery. Its start, and the records until every user is known, are not counted. Then
it takes one step per record until the time limit.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import pandas as pd
from confluent_kafka import Consumer, KafkaError, Message, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from sklearn.cluster import KMeans
from sklearn.preprocessing import OneHotEncoder

from benchmarks.programs.job import Job, Row

COLUMNS = ["user_id", "total_amount", "num_transactions"]
SUBJECT_BY_TOPIC = {"subject.name.strategy.type": "TOPIC"}
N_CLUSTERS = 3

log = logging.getLogger(__name__)


class Original:
    """The table as a dict, and the step for each record."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.rows: dict[str, Row] = {}
        self.registry = SchemaRegistryClient({"url": job.registry_url})
        self.decode: Any = AvroDeserializer(self.registry, conf=SUBJECT_BY_TOPIC)
        self.context = SerializationContext(job.topic, MessageField.VALUE)
        self.consumer = Consumer(
            {
                "bootstrap.servers": job.bootstrap_servers,
                "group.id": job.group,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
            }
        )
        self.consumer.subscribe([job.topic])

    def add(self, message: Message) -> None:
        """Keep the last record of a user; the original program ignores the op header."""
        fields = self.decode(message.value(), self.context)
        self.rows[fields["user_id"]] = (fields["total_amount"], fields["num_transactions"])
        log.info("record of %s: %s", fields["user_id"], fields)

    def step(self) -> None:
        """Fit on the whole table and write all of it."""
        frame = pd.DataFrame(columns=COLUMNS)
        for number, (user_id, row) in enumerate(self.rows.items()):
            frame.loc[number] = [user_id, *row]
        frame["label"] = fit(frame)
        self.write(frame)

    def write(self, frame: pd.DataFrame) -> None:
        """Write all users, with a new producer and a request to the registry each time."""
        job = self.job
        schema = self.registry.get_latest_version(f"{job.output}-value").schema.schema_str
        encode: Any = AvroSerializer(self.registry, schema, conf=SUBJECT_BY_TOPIC)
        context = SerializationContext(job.output, MessageField.VALUE)
        producer = Producer({"bootstrap.servers": job.bootstrap_servers})
        for _, row in frame.iterrows():
            value = encode(row.to_dict(), context)
            producer.produce(job.output, key=row["user_id"], value=value, on_delivery=report)
        producer.flush()

    def load(self) -> None:
        """Read records until every user is known."""
        while len(self.rows) < self.job.n_users:
            message = received(self.consumer)
            if message is not None:
                self.add(message)

    def run(self) -> list[float]:
        """Return the seconds of each step, from a received record until all users are flushed."""
        seconds: list[float] = []
        deadline = time.monotonic() + self.job.seconds
        while time.monotonic() < deadline:
            message = received(self.consumer)
            if message is None:
                break
            began = time.monotonic()
            self.add(message)
            self.step()
            seconds.append(time.monotonic() - began)
        return seconds


def received(consumer: Consumer) -> Message | None:
    """Return the next record; None if none arrives within 10 s."""
    message = consumer.poll(10.0)
    return message if message is not None and message.error() is None else None


def report(error: KafkaError | None, message: Message) -> None:
    """Log the delivery of a record."""
    if error is None:
        log.info("%s: %s [%s] at offset %s", message.key(), message.topic(), message.partition(), message.offset())
    else:
        log.info("%s: not delivered: %s", message.key(), error)


def fit(frame: pd.DataFrame) -> Any:
    """Return the label of each row, from a fit on a dense matrix."""
    encoder = OneHotEncoder(sparse_output=False)
    one_hot = encoder.fit_transform(frame[["user_id"]])
    encoded = pd.DataFrame(one_hot, columns=encoder.get_feature_names_out())
    table = frame.drop("user_id", axis=1).join(encoded)
    return KMeans(n_clusters=N_CLUSTERS, init="k-means++", n_init="auto", random_state=42).fit_predict(table)


def main() -> None:
    """Run steps until the time limit."""
    logging.basicConfig(level=logging.INFO)
    job = Job.from_command_line()
    program = Original(job)
    program.load()
    began = time.monotonic()
    cpu_seconds_before = time.process_time()
    steps = program.run()
    seconds = time.monotonic() - began
    job.finish(len(steps), program.rows, steps=steps, seconds=seconds, cpu_seconds_before=cpu_seconds_before)
    program.consumer.close()


if __name__ == "__main__":
    main()
