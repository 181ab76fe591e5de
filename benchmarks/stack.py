"""A broker and a registry of the benchmark's own, and the clients that every measurement needs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lines.job import Job
from local.services.kafka import KafkaBroker
from local.services.process import free_port, stop_all
from local.services.registry import SchemaRegistry
from tests.support import configuration
from tests.support.subjects import Subjects
from tests.support.topics import Topics

TIMEOUT_SECONDS = 60.0
N_OUTPUT_PARTITIONS = 1
"""As sql/5_create_user_labeling.sql asks for."""


@dataclass
class Stack:
    """What listens, where files may lie, and names that were not used before."""

    directory: Path
    bootstrap_servers: str
    registry_url: str
    topics: Topics
    subjects: Subjects
    _n_names: int = 0

    def new_name(self, stem: str) -> str:
        """A name for a topic, a group or a file."""
        self._n_names += 1
        return f"{stem}_{self._n_names}"

    def new_output(self) -> str:
        """A new compacted topic for labels."""
        name = self.new_name("labels")
        self.topics.create(name, N_OUTPUT_PARTITIONS, {"cleanup.policy": "compact"})
        return name

    def configuration(self) -> Path:
        """The client's file, with the settings of configurations/local.ini."""
        sections = configuration.sections(self.bootstrap_servers, self.registry_url)
        del sections["consumer"]["fetch.wait.max.ms"]
        return configuration.write(self.directory / "benchmark.ini", sections)

    def job(self, topic: str, n_partitions: int, n_records: int, n_users: int, seconds: float = 120.0) -> Job:
        """A job without output, with a group of its own."""
        name = self.new_name("job")
        result = str(self.directory / f"{name}.json")
        where = (self.bootstrap_servers, self.registry_url, topic, n_partitions)
        return Job(*where, n_records, n_users, group=name, output="", seconds=seconds, result=result)


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Start both on free ports; what they stored is gone afterwards."""
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
