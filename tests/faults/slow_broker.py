"""A broker so slow that a step of many labels takes several transactions, and `kill -9` in each part."""

from dataclasses import replace
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.clients import TracedClient
from tests.faults.report import Result
from tests.faults.stack import RelayedStack
from tests.faults.steps import ENTRY, EXIT, Aim, Step
from tests.support.waiting import wait_until

N_USERS = 20_000
N_TRANSACTIONS = 20_000
BYTES_PER_S = 50_000.0
TRANSACTION_MS = 6_000
"""A fraction of the time that the records of all users take."""
KILLS = [
    Aim(Step.COMMIT, 1, ENTRY, "SIGKILL"),
    Aim(Step.COMMIT, 1, EXIT, "SIGKILL"),
    Aim(Step.PRODUCE, 2_500, ENTRY, "SIGKILL"),
    Aim(Step.OFFSETS, 2, EXIT, "SIGKILL"),
    Aim(Step.COMMIT, 2, "0.001", "SIGKILL"),
]
RELABELLING_KILLS = [Aim(Step.COMMIT, 1, EXIT, "SIGKILL"), Aim(Step.PRODUCE, 2_500, ENTRY, "SIGKILL")]
KILLED_S = 60.0
PART = "labels are committed, more follow"


def label_slowly(stack: RelayedStack, directory: Path, seed: int) -> Result:
    """A first labelling and one in which most labels change, both in parts; clients are killed in them."""
    producer = {"transaction.timeout.ms": str(TRANSACTION_MS)}
    through = stack.relay.bootstrap_servers
    stack = replace(stack, timed=False)  # with ages, too few labels change for the kills
    with Arena(stack, directory, "slow_broker", seed, producer, through, flowing=False, n_users=N_USERS) as arena:
        arena.feeder.write(N_TRANSACTIONS)
        arena.feeder.flush()
        stack.relay.bytes_per_s = BYTES_PER_S
        try:
            _kill_each(arena, KILLS)
            arena.settle(first := arena.clients.start())
            first.kill()
            arena.feeder.spend("User_1", -1e9)  # from now on label 0 is hers alone
            _kill_each(arena, RELABELLING_KILLS)
            result = arena.finish(arena.clients.start())
        finally:
            stack.relay.bytes_per_s = None
        result.notes.append(f"parts of {[client.output.count(PART) for client in arena.clients.all]} transactions")
        return result


def _kill_each(arena: Arena, aims: list[Aim]) -> None:
    """Start clients that kill themselves, one after the other."""
    for aim in aims:
        client = arena.clients.start(aim=aim)
        _wait_for_end(client, aim)
        arena.faults += 1


def _wait_for_end(client: TracedClient, aim: Aim) -> None:
    wait_until(lambda: not client.running, f"the client to kill itself at {aim}", KILLED_S)
    if client.wait() != -9:
        raise AssertionError(f"the client was to be killed ({aim}) but ended before:\n{client.output}")
