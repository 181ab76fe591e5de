"""Brokers, a registry and relays for fault tests, which may kill them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from local.services.kafka import KafkaBroker
from local.services.process import free_port, start_all, stop_all
from local.services.registry import SchemaRegistry
from tests.faults.broker_faults import FaultyRelay
from tests.faults.frames import LOOPBACK
from tests.faults.relay import Relay
from tests.support.pipeline import Services
from tests.support.subjects import Subjects
from tests.support.topics import Topics


@dataclass(frozen=True)
class Stack:
    """Brokers and a registry."""

    brokers: Sequence[KafkaBroker]
    registry: SchemaRegistry
    services: Services
    faulty: Sequence[FaultyRelay]
    """A relay in front of each broker, in the same order; the clients that use them reach no broker directly."""
    timed: bool = field(default=False, kw_only=True)
    """Whether scenarios have users with a third feature, a point in time; see `Pipeline`."""

    @property
    def broker(self) -> KafkaBroker:
        """The first broker."""
        return self.brokers[0]

    @property
    def behind_faulty(self) -> str:
        """The value of `bootstrap.servers` of a client behind these relays."""
        return ",".join(relay.bootstrap_servers for relay in self.faulty)

    def lift_all(self) -> None:
        """End every fault of the relays."""
        for relay in self.faulty:
            relay.lift()

    def revive(self) -> None:
        """End every fault of the relays, and start the services that do not run."""
        self.lift_all()
        start_all([service for service in (*self.brokers, self.registry) if not service.is_running])


@dataclass(frozen=True)
class RelayedStack(Stack):
    """One broker that can also be reached through a relay that disturbs single requests."""

    relay: Relay


SHORT_WAITS = {
    # Intervals at which a broker checks for timed-out transactions and for logs to clean.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "log.cleaner.backoff.ms": "200",
}


class Relayed(NamedTuple):
    """The ports of a listener that clients reach only through a relay."""

    listener: int
    relay: int


def broker_properties(port: int, relayed: Mapping[str, Relayed]) -> dict[str, str]:
    """A listener for all, listeners behind relays by their names, and short intervals."""
    direct = f"PLAINTEXT://{LOOPBACK}:{port}"
    listeners = [direct, *(f"{name}://{LOOPBACK}:{ports.listener}" for name, ports in relayed.items())]
    advertised = [direct, *(f"{name}://{LOOPBACK}:{ports.relay}" for name, ports in relayed.items())]
    return {
        "listeners": ",".join(listeners),
        "advertised.listeners": ",".join(advertised),
        "listener.security.protocol.map": ",".join(
            f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *relayed)
        ),
        **SHORT_WAITS,
    }


@contextmanager
def running_stack(directory: Path) -> Iterator[RelayedStack]:
    """Start one broker, a registry and two relays; stop all."""
    port = free_port()
    relay = Relay(free_port(), behind_relay := free_port())
    faulty = FaultyRelay(free_port(), behind_faulty := free_port())
    relayed = {"RELAYED": Relayed(behind_relay, relay.port), "FAULTY": Relayed(behind_faulty, faulty.port)}
    broker = KafkaBroker(directory / "kafka", port, broker_properties(port, relayed))
    registry = SchemaRegistry(directory / "registry", free_port())
    try:
        start_all([broker, registry])
        services = Services(Topics(broker.bootstrap_servers), Subjects(registry.url))
        yield RelayedStack([broker], registry, services, [faulty], relay)
    finally:
        relay.close()
        faulty.close()
        stop_all([broker, registry])
