"""Brokers of a cluster go, one at a time: restarted in turn, or killed where it hurts. Labels flow without them."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from local.services.kafka import KafkaBroker
from tests.faults.arena import Arena
from tests.faults.cluster import Places
from tests.faults.report import Result
from tests.faults.stack import Stack


class Fault(NamedTuple):
    """One broker, and what happens to it."""

    choose: Callable[[Arena, Places, int], KafkaBroker]
    """Given the number of the fault, from 0."""
    end: Callable[[KafkaBroker], None]


def _turn(arena: Arena, _: Places, number: int) -> KafkaBroker:
    brokers = arena.stack.brokers
    return brokers[number % len(brokers)]


def _leader_of_output(arena: Arena, places: Places, _: int) -> KafkaBroker:
    return places.leader(arena.pipeline.output, 0)


def _leader_of_input(arena: Arena, places: Places, number: int) -> KafkaBroker:
    return places.leader(arena.pipeline.source, number % arena.feeder.n_partitions)


def _coordinator_of_transactions(arena: Arena, places: Places, _: int) -> KafkaBroker:
    name = f"user_classifier-{arena.pipeline.group}-{arena.pipeline.output}"
    return places.coordinator("__transaction_state", name)


def _coordinator_of_group(arena: Arena, places: Places, _: int) -> KafkaBroker:
    return places.coordinator("__consumer_offsets", arena.pipeline.group)


RESTART = Fault(_turn, KafkaBroker.stop)
"""In good order, as an upgrade does."""
KILL_LEADER_OF_OUTPUT = Fault(_leader_of_output, KafkaBroker.kill)
KILL_LEADER_OF_INPUT = Fault(_leader_of_input, KafkaBroker.kill)
KILL_COORDINATOR_OF_TRANSACTIONS = Fault(_coordinator_of_transactions, KafkaBroker.kill)
KILL_COORDINATOR_OF_GROUP = Fault(_coordinator_of_group, KafkaBroker.kill)


def strike(cluster: Stack, directory: Path, seed: int, name: str, faults: Sequence[Fault]) -> Result:
    """End one broker after the other; each comes back once labels have flowed without it."""
    with Arena(cluster, directory, name, seed) as arena:
        places = Places(cluster)
        client = arena.clients.start()
        arena.labels_flow()
        struck = [_strike(arena, places, number, fault).node_id for number, fault in enumerate(faults)]
        places.wait_in_sync()
        arena.labels_flow()
        result = arena.finish(client)
        numbers = ", ".join(map(str, struck))
        result.notes.append(f"of three brokers, in turn: {numbers}; seconds: the longest time without a label")
        return result


def _strike(arena: Arena, places: Places, number: int, fault: Fault) -> KafkaBroker:
    places.wait_in_sync()
    broker = fault.choose(arena, places, number)
    began = time.time()
    fault.end(broker)
    arena.labels_flow()
    arena.recovery.append(arena.watcher.longest_gap(began))
    arena.faults += 1
    broker.start()
    return broker
