"""Brokers, a registry and a relay for fault tests, which may kill them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.services.kafka import KafkaBroker
from local.services.process import free_port, start_all, stop_all
from local.services.registry import SchemaRegistry
from tests.faults.relay import LOOPBACK, Relay
from tests.support.pipeline import Services
from tests.support.subjects import Subjects
from tests.support.topics import Topics


@dataclass(frozen=True)
class Stack:
    """Brokers and a registry."""

    brokers: Sequence[KafkaBroker]
    registry: SchemaRegistry
    services: Services

    @property
    def broker(self) -> KafkaBroker:
        """The first broker."""
        return self.brokers[0]

    def revive(self) -> None:
        """Start the services that do not run."""
        start_all([service for service in (*self.brokers, self.registry) if not service.is_running])


@dataclass(frozen=True)
class RelayedStack(Stack):
    """One broker that can also be reached through a relay."""

    relay: Relay


SHORT_WAITS = {
    # Intervals at which a broker checks for timed-out transactions and for logs to clean.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "log.cleaner.backoff.ms": "200",
}


def broker_properties(port: int, behind_relay: int, relay: int) -> dict[str, str]:
    """A second listener, which clients reach only through the relay, and short intervals."""
    return {
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},RELAYED://{LOOPBACK}:{behind_relay}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port},RELAYED://{LOOPBACK}:{relay}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,RELAYED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        **SHORT_WAITS,
    }


@contextmanager
def running_stack(directory: Path) -> Iterator[RelayedStack]:
    """Start one broker, a registry and a relay; stop all."""
    port = free_port()
    behind_relay = free_port()
    relay = Relay(free_port(), behind_relay)
    broker = KafkaBroker(directory / "kafka", port, broker_properties(port, behind_relay, relay.port))
    registry = SchemaRegistry(directory / "registry", free_port())
    try:
        start_all([broker, registry])
        services = Services(Topics(broker.bootstrap_servers), Subjects(registry.url))
        yield RelayedStack([broker], registry, services, relay)
    finally:
        relay.close()
        stop_all([broker, registry])
