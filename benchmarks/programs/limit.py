"""The limit: a consume() loop that only counts records, with the client's consumer settings."""

from __future__ import annotations

import gc

from confluent_kafka import Consumer, TopicPartition

from benchmarks.programs.job import Job

CHUNK = 2_000
POLL_SECONDS = 0.1
PROPERTIES = {
    "enable.auto.commit": "false",
    "enable.partition.eof": "true",
    "isolation.level": "read_committed",
    "connections.max.idle.ms": "180000",
    "fetch.queue.backoff.ms": "10",
    "fetch.wait.max.ms": "100",
}


def consumer_of(job: Job) -> Consumer:
    """Return a consumer of all partitions from offset 0, which starts faster than OFFSET_BEGINNING."""
    consumer = Consumer({"bootstrap.servers": job.bootstrap_servers, "group.id": job.group, **PROPERTIES})
    consumer.assign([TopicPartition(job.topic, partition, 0) for partition in range(job.n_partitions)])
    return consumer


def main() -> None:
    """Count records to the end of every partition."""
    gc.disable()  # as the client does
    job = Job.from_command_line()
    consumer = consumer_of(job)
    n_records = 0
    ended = 0
    while ended < job.n_partitions:
        messages = consumer.consume(CHUNK, POLL_SECONDS)
        events = sum(message.error() is not None for message in messages)  # ends of partitions
        ended += events
        n_records += len(messages) - events
    consumer.close()
    job.finish(n_records)


if __name__ == "__main__":
    main()
