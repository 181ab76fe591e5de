"""One broker hangs, answers late or resets connections while the input goes on, which reaches all brokers directly.

The client learns of changes in part, and must not delete the users whose new rows it cannot read yet.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.broker_faults import ANSWERS_AFTER_3_S, HANGS, RESETS, BrokerFault
from tests.faults.report import Result
from tests.faults.stack import Stack

N_TRANSACTIONS = 400
ROUND_S = 1.2
"""Seconds between two writes during a fault, in which a client without care takes two ends of the input."""
FAULTS = {HANGS: 7.0, ANSWERS_AFTER_3_S: 8.0, RESETS: 5.0}
"""Seconds that a fault lasts. One call of the client may take 5 s."""
RECONNECT_MS = "500"
"""Instead of librdkafka's 10 s: how long a client may wait after connections were reset."""


def disturb_brokers(stack: Stack, directory: Path, seed: int, name: str, faults: Sequence[BrokerFault]) -> Result:
    """Have the faults one after the other, each on another broker."""
    with Arena(stack, directory, name, seed, bootstrap_servers=stack.behind_faulty, flowing=False) as arena:
        for section in ("consumer", "producer"):
            arena.pipeline.configure(section, reconnect_backoff_max_ms=RECONNECT_MS)
        arena.feeder.write(N_TRANSACTIONS)
        client = arena.clients.start()
        arena.settle(client)
        numbers = list(range(len(stack.brokers)))
        arena.rng.shuffle(numbers)
        # In the second round each fault is on another broker than in the first.
        struck = [numbers[(number + number // len(numbers)) % len(numbers)] for number in range(len(faults))]
        for fault, number in zip(faults, struck, strict=True):
            lifted = _disturb(arena, number, fault)
            arena.feeder.write(N_TRANSACTIONS // 4)
            arena.recovered(lifted)
            arena.faults += 1
        result = arena.finish(client)
        happened = [f"{stack.brokers[number].node_id} {fault}" for number, fault in zip(struck, faults, strict=True)]
        result.notes.append("broker " + "; broker ".join(happened))
        return result


def _disturb(arena: Arena, number: int, fault: BrokerFault) -> float:
    """Have a fault while the input goes on; return when it was lifted, in seconds since the epoch."""
    end = time.monotonic() + FAULTS[fault]
    with arena.stack.faulty[number].with_fault(fault):
        while time.monotonic() < end:
            arena.feeder.write(N_TRANSACTIONS // 4)
            time.sleep(ROUND_S)
    return time.time()
