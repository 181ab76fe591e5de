"""The services as Python objects: a Kafka broker, a Schema Registry, a Flink cluster. Each listens on 127.0.0.1 alone.

>>> broker = KafkaBroker(directory, port=free_port())    # doctest: +SKIP
>>> broker.start()                                       # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from local.flink import FlinkCluster
from local.kafka import KafkaBroker
from local.process import Service, ServiceError, free_port
from local.registry import SchemaRegistry

__all__ = [
    "FlinkCluster",
    "KafkaBroker",
    "SchemaRegistry",
    "Service",
    "ServiceError",
    "free_port",
    "start_all",
    "stop_all",
]


class Startable(Protocol):
    """A service, or several as one."""

    def launch(self) -> None:
        """Start without waiting."""

    def wait_ready(self) -> None:
        """Block until it answers."""

    def terminate(self) -> None:
        """Ask it to end, and do not wait."""

    def stop(self) -> None:
        """End it in good order."""


def start_all(services: Iterable[Startable]) -> None:
    """Start side by side; block until all are ready."""
    services = list(services)
    for service in services:
        service.launch()
    for service in services:
        service.wait_ready()


def stop_all(services: Iterable[Startable]) -> None:
    """Stop side by side; block until all have ended."""
    services = list(services)
    for service in services:
        service.terminate()
    for service in services:
        service.stop()
