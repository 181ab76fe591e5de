"""Brokers of a cluster are restarted, or leaders and coordinators killed, one at a time; labels keep flowing."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from local.services.kafka import KafkaBroker
from tests.faults.arena import Arena
from tests.faults.cluster import Leadership
from tests.faults.report import Result
from tests.faults.stack import Stack


class Fault(NamedTuple):
    """One broker, and what happens to it."""

    choose: Callable[[Arena, Leadership, int], KafkaBroker]
    """Given the number of the fault, from 0."""
    end: Callable[[KafkaBroker], None]


def _turn(arena: Arena, _: Leadership, number: int) -> KafkaBroker:
    brokers = arena.stack.brokers
    return brokers[number % len(brokers)]


def _leader_of_output(arena: Arena, leadership: Leadership, _: int) -> KafkaBroker:
    return leadership.leader(arena.pipeline.output, 0)


def _leader_of_input(arena: Arena, leadership: Leadership, number: int) -> KafkaBroker:
    return leadership.leader(arena.pipeline.source, number % arena.feeder.n_partitions)


def _coordinator_of_transactions(arena: Arena, leadership: Leadership, _: int) -> KafkaBroker:
    name = f"user_classifier-{arena.pipeline.group}-{arena.pipeline.output}"
    return leadership.coordinator("__transaction_state", name)


def _coordinator_of_group(arena: Arena, leadership: Leadership, _: int) -> KafkaBroker:
    return leadership.coordinator("__consumer_offsets", arena.pipeline.group)


RESTART = Fault(_turn, KafkaBroker.stop)
"""A graceful restart, as in a rolling upgrade."""
KILL_LEADER_OF_OUTPUT = Fault(_leader_of_output, KafkaBroker.kill)
KILL_LEADER_OF_INPUT = Fault(_leader_of_input, KafkaBroker.kill)
KILL_COORDINATOR_OF_TRANSACTIONS = Fault(_coordinator_of_transactions, KafkaBroker.kill)
KILL_COORDINATOR_OF_GROUP = Fault(_coordinator_of_group, KafkaBroker.kill)


def stop_brokers(cluster: Stack, directory: Path, seed: int, name: str, faults: Sequence[Fault]) -> Result:
    """Stop one broker after the other; each is started again once labels have flowed without it."""
    with Arena(cluster, directory, name, seed) as arena:
        leadership = Leadership(cluster)
        client = arena.clients.start()
        arena.labels_flow()
        stopped = [_stop(arena, leadership, number, fault).node_id for number, fault in enumerate(faults)]
        leadership.wait_in_sync()
        arena.labels_flow()
        result = arena.finish(client)
        numbers = ", ".join(map(str, stopped))
        result.notes.append(f"of three brokers, in turn: {numbers}; seconds: the longest time without a label")
        return result


def _stop(arena: Arena, leadership: Leadership, number: int, fault: Fault) -> KafkaBroker:
    leadership.wait_in_sync()
    broker = fault.choose(arena, leadership, number)
    began = time.time()
    fault.end(broker)
    arena.labels_flow()
    arena.recovery.append(arena.watcher.longest_gap(began))
    arena.faults += 1
    broker.start()
    return broker
