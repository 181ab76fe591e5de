"""The input loses its last records and grows again: the client refuses to go on, and --rebuild labels what is left."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.arena import PARTITIONS, Arena
from tests.faults.clients import TracedClient
from tests.faults.cluster import Leadership
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.faults.truncation import lose_records
from tests.faults.unclean_election import input_on_two, lose_by_election
from tests.support import inside

N_TRANSACTIONS = 400
N_LOST = 20
LOST = "lost its records from offset"
REBUILD = "--rebuild"
BOTH = (False, True)
"""Whether the client runs when the records are lost: once not, once so."""

Lose = Callable[[Arena, int, int, Callable[[], None]], None]
"""Given the arena, a partition, its end, and a function that appends records and waits until the client has them.

Calls it, and removes these records.
"""


def cut_on_disk(arena: Arena, partition: int, end: int, append: Callable[[], None]) -> None:
    """Remove the records from the disk of the only broker."""
    append()
    lose_records(arena.stack.broker, arena.pipeline.source, partition, end)


def elect_uncleanly(arena: Arena, partition: int, end: int, append: Callable[[], None]) -> None:
    """Have a broker elected as the leader that does not have the records."""
    lose_by_election(arena.stack, arena.pipeline.source, append).start()
    Leadership(arena.stack).wait_in_sync()


def shorten_input(stack: Stack, directory: Path, seed: int, running: Sequence[bool] = BOTH) -> Result:
    """Cut the log of one broker, under a stopped and under a running client."""
    with Arena(stack, directory, "rebuild_input_shortened", seed, flowing=False) as arena:
        return _shorten(arena, cut_on_disk, running)


def shorten_by_election(stack: Stack, directory: Path, seed: int, running: Sequence[bool] = BOTH) -> Result:
    """Elect unclean leaders among three brokers, under a stopped and under a running client."""
    with Arena(stack, directory, "rebuild_unclean_election", seed, flowing=False) as arena:
        input_on_two(arena.pipeline, PARTITIONS)
        return _shorten(arena, elect_uncleanly, running)


def _shorten(arena: Arena, lose: Lose, running: Sequence[bool]) -> Result:
    arena.feeder.write(N_TRANSACTIONS)
    refusals = []
    for runs in running:
        client = arena.clients.start()
        partition = arena.rng.randrange(PARTITIONS)
        began = time.time()
        refusals.append(_lose_and_refuse(arena, client, partition, lose, runs))
        done = inside.run(arena.pipeline.arguments("--until-end", REBUILD))
        if done.code != 0:
            raise AssertionError(f"{REBUILD} ended with {done.code}:\n{done.output}")
        arena.recovery.append(time.time() - began)
        arena.faults += 1
        arena.feeder.write(N_TRANSACTIONS)
    result = arena.finish(arena.clients.start(), stepwise=False, watched=False, onward=False)
    result.notes += refusals
    return result


def _lose_and_refuse(arena: Arena, client: TracedClient, partition: int, lose: Lose, runs: bool) -> str:
    """Lose records that the client has read, and write others; return the line with which it refuses to go on."""
    arena.settle(client)
    end = len(arena.feeder.written_to[partition])

    def append() -> None:
        arena.feeder.insert_into(partition, [f"Lost_{arena.faults}_{number}" for number in range(N_LOST)])
        arena.settle(client)
        if not runs and client.stop() != 0:
            raise AssertionError(f"the client did not end well:\n{client.output[-3000:]}")

    lose(arena, partition, end, append)
    arena.feeder.lose(partition, end)
    arena.feeder.write(N_TRANSACTIONS)  # beyond the committed offset
    arena.feeder.flush()
    refused = client if runs else arena.clients.start()
    code = refused.wait()
    last = refused.output.splitlines()[-1]
    expected = f"{arena.pipeline.source} [{partition}]", LOST, REBUILD
    if code != 1 or not all(each in last for each in expected):
        raise AssertionError(f"{expected} are not in the last line; exit {code}:\n{refused.output[-3000:]}")
    return last.removeprefix("user_classifier.py: error: ")
