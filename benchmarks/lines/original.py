"""The original program, from its description: for each record the frame row by row, dense one-hot, fit, every user out.

Not counted: the start, and the records until every user is known. Then one step per record until the time is up.
"""

from __future__ import annotations

import time
from typing import Any

import pandas as pd
from confluent_kafka import Consumer, Message, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from sklearn.cluster import KMeans
from sklearn.preprocessing import OneHotEncoder

from benchmarks.lines.job import Job, Row

COLUMNS = ["user_id", "total_amount", "num_transactions"]
SUBJECT_BY_TOPIC = {"subject.name.strategy.type": "TOPIC"}
N_CLUSTERS = 3


class Original:
    """The table as a dict, and the step that is taken for each record."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.rows: dict[str, Row] = {}
        self.decode: Any = AvroDeserializer(SchemaRegistryClient({"url": job.registry_url}), conf=SUBJECT_BY_TOPIC)
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

    def step(self) -> None:
        """Fit on the whole table and write all of it."""
        frame = pd.DataFrame(columns=COLUMNS)
        for user_id, (amount, count) in self.rows.items():
            frame.loc[len(frame)] = [user_id, amount, count]
        frame["label"] = fit(frame)
        self.write(frame)

    def write(self, frame: pd.DataFrame) -> None:
        """A new producer and a look into the registry each time, as in the original."""
        job = self.job
        registry = SchemaRegistryClient({"url": job.registry_url})
        schema = registry.get_latest_version(f"{job.output}-value").schema.schema_str
        encode: Any = AvroSerializer(registry, schema, conf={**SUBJECT_BY_TOPIC, "auto.register.schemas": False})
        context = SerializationContext(job.output, MessageField.VALUE)
        producer = Producer({"bootstrap.servers": job.bootstrap_servers})
        for fields in frame.to_dict("records"):
            producer.produce(job.output, key=fields["user_id"], value=encode(fields, context))
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


def fit(frame: pd.DataFrame) -> Any:
    """The label of each row, from a dense matrix."""
    encoder = OneHotEncoder(sparse_output=False)
    one_hot = pd.DataFrame(
        encoder.fit_transform(frame[["user_id"]]), columns=encoder.get_feature_names_out(["user_id"])
    )
    matrix = pd.concat([one_hot, frame[COLUMNS[1:]].astype(float)], axis=1).to_numpy()
    return KMeans(n_clusters=N_CLUSTERS, init="k-means++", n_init="auto", random_state=42).fit_predict(matrix)


def main() -> None:
    """Step until the time is up."""
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
