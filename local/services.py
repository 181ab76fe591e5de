"""The services as Python objects: a Kafka broker, a Schema Registry, a Flink cluster. Each listens on 127.0.0.1 alone.

>>> broker = KafkaBroker(directory, port=free_port())    # doctest: +SKIP
>>> broker.start()                                       # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable

from local.kafka import KafkaBroker
from local.process import Service, ServiceError, free_port
from local.registry import SchemaRegistry

__all__ = ["KafkaBroker", "SchemaRegistry", "Service", "ServiceError", "free_port", "start_all", "stop_all"]


def start_all(services: Iterable[Service]) -> None:
    """Start side by side; block until all are ready."""
    services = list(services)
    for service in services:
        service.launch()
    for service in services:
        service.wait_ready()


def stop_all(services: Iterable[Service]) -> None:
    """Stop in reverse order of ``services``."""
    for service in reversed(list(services)):
        service.stop()
