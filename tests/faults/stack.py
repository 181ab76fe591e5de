"""A broker, a registry and a relay that belong to the faults alone, so that they may be killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from local.services import KafkaBroker, SchemaRegistry, free_port, start_all, stop_all
from tests.faults.relay import LOOPBACK, Relay
from tests.support.pipeline import Services
from tests.support.subjects import Subjects
from tests.support.topics import Topics


class Stack(NamedTuple):
    """Everything that can be broken."""

    broker: KafkaBroker
    registry: SchemaRegistry
    relay: Relay
    services: Services


def broker_properties(port: int, behind_relay: int, relay: int) -> dict[str, str]:
    """A second listener that clients reach through the relay alone, and short waits."""
    return {
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},RELAYED://{LOOPBACK}:{behind_relay}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port},RELAYED://{LOOPBACK}:{relay}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,RELAYED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        # How often the broker looks for transactions that have timed out, and for logs to clean.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
        "log.cleaner.backoff.ms": "200",
    }


@contextmanager
def running_stack(directory: Path) -> Iterator[Stack]:
    """Start all; end all."""
    port, behind_relay = free_port(), free_port()
    relay = Relay(free_port(), behind_relay)
    broker = KafkaBroker(directory / "kafka", port, broker_properties(port, behind_relay, relay.port))
    registry = SchemaRegistry(directory / "registry", free_port())
    try:
        start_all([broker, registry])
        yield Stack(broker, registry, relay, Services(Topics(broker.bootstrap_servers), Subjects(registry.url)))
    finally:
        relay.close()
        stop_all([broker, registry])
