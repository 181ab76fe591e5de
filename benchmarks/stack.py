"""A Kafka broker and a Schema Registry for one run of the benchmarks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.programs.job import Job
from local.services.kafka import KafkaBroker
from local.services.process import free_port, stop_all
from local.services.registry import SchemaRegistry
from tests.support import configuration
from tests.support.subjects import Subjects
from tests.support.topics import Topics

TIMEOUT_SECONDS = 60.0
N_OUTPUT_PARTITIONS = 1
"""As in sql/5_create_user_labeling.sql."""


@dataclass
class Stack:
    """The running services, a directory for files, and unique names."""

    directory: Path
    bootstrap_servers: str
    registry_url: str
    topics: Topics
    subjects: Subjects
    _n_names: int = 0

    def new_name(self, stem: str) -> str:
        """Return an unused name for a topic, a group or a file."""
        self._n_names += 1
        return f"{stem}_{self._n_names}"

    def new_output(self) -> str:
        """Create a compacted topic for labels; return its name."""
        name = self.new_name("labels")
        self.topics.create(name, N_OUTPUT_PARTITIONS, {"cleanup.policy": "compact"})
        return name

    def configuration(self) -> Path:
        """Write a configuration file of the client, with the settings of configurations/local.ini; return its path."""
        sections = configuration.sections(self.bootstrap_servers, self.registry_url)
        del sections["consumer"]["fetch.wait.max.ms"]
        return configuration.write(self.directory / "benchmark.ini", sections)

    def job(self, topic: str, n_partitions: int, n_records: int, n_users: int, seconds: float = 120.0) -> Job:
        """Return a job without an output, with a group of its own."""
        name = self.new_name("job")
        return Job(
            bootstrap_servers=self.bootstrap_servers,
            registry_url=self.registry_url,
            topic=topic,
            n_partitions=n_partitions,
            n_records=n_records,
            n_users=n_users,
            group=name,
            output="",
            seconds=seconds,
            result=str(self.directory / f"{name}.json"),
        )


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Run both services on free ports in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="user_classifier_benchmark_") as temporary:
        directory = Path(temporary)
        broker = KafkaBroker(directory / "kafka", free_port())
        registry = SchemaRegistry(directory / "registry", free_port())
        try:
            for service in (broker, registry):
                service.launch()
            for service in (broker, registry):
                service.wait_ready()
            topics = Topics(broker.bootstrap_servers)
            topics.wait_for_coordinator()
            yield Stack(directory, broker.bootstrap_servers, registry.url, topics, Subjects(registry.url))
        finally:
            stop_all([registry, broker])
