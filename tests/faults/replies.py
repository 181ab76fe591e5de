"""Requests and replies between client and broker are lost, delayed or cut off."""

import itertools
import time
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.clients import TracedClient
from tests.faults.relay import Api, Harm, Relay
from tests.faults.report import Result
from tests.faults.stack import RelayedStack
from tests.support.waiting import wait_until

LATE_S = 2.0
TRANSACTION_MS = 5000
"""Also limits how long the client waits for a reply."""
TRAPS = [
    (Api.END_TXN, Harm.DROP_REPLY),
    (Api.END_TXN, Harm.CUT_REPLY),
    (Api.TXN_OFFSET_COMMIT, Harm.CUT_REPLY),
    (Api.INIT_PRODUCER_ID, Harm.CUT_REPLY),
    (Api.PRODUCE, Harm.CUT_REPLY),
    (Api.END_TXN, Harm.DROP_REQUEST),
    (Api.ADD_OFFSETS_TO_TXN, Harm.CUT_REPLY),
    (Api.END_TXN, Harm.DELAY_REPLY),
    (Api.ADD_PARTITIONS_TO_TXN, Harm.CUT_REQUEST),
]
ALL_TRAPS = [*TRAPS, *(trap for trap in itertools.product(Api, Harm) if trap not in TRAPS)]


def lose_replies(stack: RelayedStack, directory: Path, seed: int, times: int) -> Result:
    """Spring `times` traps, one after the other, while labels flow."""
    settings = {"transaction.timeout.ms": str(TRANSACTION_MS)}
    with Arena(
        stack, directory, "replies_lost", seed, producer=settings, bootstrap_servers=stack.relay.bootstrap_servers
    ) as arena:
        client = arena.clients.start()
        arena.labels_flow()
        traps = [ALL_TRAPS[number % len(ALL_TRAPS)] for number in range(times)]
        for api, harm in traps:
            client = _spring(arena, stack.relay, client, api, harm)
        result = arena.finish(client)
        result.notes.append("; ".join(f"{api.name}: {harm.value}" for api, harm in traps))
        return result


def _spring(arena: Arena, relay: Relay, client: TracedClient, api: Api, harm: Harm) -> TracedClient:
    relay.arm(api, harm, LATE_S)
    if api is Api.INIT_PRODUCER_ID:  # requested at the start only
        client.kill()
        client = arena.clients.start()
    running = client
    wait_until(lambda: relay.sprung.is_set() or not running.running, f"a request {api.name}")
    arena.recovered(time.time())
    arena.faults += 1
    return client
