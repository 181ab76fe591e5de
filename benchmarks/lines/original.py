"""The original program's algorithm: for each record the frame row by row, dense one-hot, fit, every user out.

Written anew after Data-Reply/bwc-streaming-UEBA, with the same calls of the same libraries in a step: a look into the
registry, a producer, a log line for each delivery. Not counted: the start, and the records until every user is known.
Then one step per record until the time is up.
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

from benchmarks.lines.job import Job, Row

COLUMNS = ["user_id", "total_amount", "num_transactions"]
SUBJECT_BY_TOPIC = {"subject.name.strategy.type": "TOPIC"}
N_CLUSTERS = 3

log = logging.getLogger(__name__)


class Original:
    """The table as a dict, and the step that is taken for each record."""

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

    def take(self, message: Message) -> None:
        """The last record of a user counts; the program knows no op header."""
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
        """A new producer and a look into the registry each time."""
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
        """Take records until every user is known."""
        while len(self.rows) < self.job.n_users:
            if message := received(self.consumer):
                self.take(message)

    def run(self) -> list[float]:
        """Seconds per step, from a record at hand to all users flushed."""
        seconds: list[float] = []
        deadline = time.monotonic() + self.job.seconds
        while time.monotonic() < deadline and (message := received(self.consumer)):
            began = time.monotonic()
            self.take(message)
            self.step()
            seconds.append(time.monotonic() - began)
        return seconds


def received(consumer: Consumer) -> Message | None:
    """The next record; None when none comes any more."""
    message = consumer.poll(10.0)
    return message if message is not None and message.error() is None else None


def report(error: KafkaError | None, message: Message) -> None:
    """Log what became of a record."""
    if error is None:
        log.info("%s: %s [%s] at offset %s", message.key(), message.topic(), message.partition(), message.offset())
    else:
        log.info("%s: not delivered: %s", message.key(), error)


def fit(frame: pd.DataFrame) -> Any:
    """The label of each row, from a dense matrix."""
    encoder = OneHotEncoder(sparse_output=False)
    one_hot = encoder.fit_transform(frame[["user_id"]])
    encoded = pd.DataFrame(one_hot, columns=encoder.get_feature_names_out())
    table = frame.drop("user_id", axis=1).join(encoded)
    return KMeans(n_clusters=N_CLUSTERS, init="k-means++", n_init="auto", random_state=42).fit_predict(table)


def main() -> None:
    """Step until the time is up."""
    logging.basicConfig(level=logging.INFO)
    job = Job.from_command_line()
    program = Original(job)
    program.load()
    began, cpu = time.monotonic(), time.process_time()
    steps = program.run()
    took = time.monotonic() - began
    job.finish(len(steps), program.rows, steps=steps, seconds=took, cpu_seconds_before=cpu)
    program.consumer.close()


if __name__ == "__main__":
    main()
