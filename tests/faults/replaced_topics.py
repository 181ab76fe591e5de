"""Topics deleted, or deleted and made anew, under a running client or between two runs: it says so, and is right."""

import re
import time
from pathlib import Path
from typing import NamedTuple

from tests.faults.arena import PARTITIONS, Arena
from tests.faults.clients import TracedClient
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.support import client
from tests.support.waiting import wait_until

N_TRANSACTIONS = 400
SAID_S = 40.0
"""Topics are looked at every 10 s; a call and a busy machine take the rest."""
CAUSE = r"(was deleted (and|while)|made anew|is not there any more|does not exist)"
OFFSETS_GONE = "but the group has no committed offsets"
"""With a topic its offsets go, too: where a start finds none beside labels, this is the true cause."""


class Case(NamedTuple):
    """What happens to a topic."""

    name: str
    output: bool
    """The output, or else the input."""
    size: float | None = 1.0
    """How long the new input is, as a share of the old; None: the topic is made anew only after it has been missed."""
    running: bool = True
    """Whether it happens under a running client."""


CASES = (
    Case("input made anew shorter", output=False, size=0.5),
    Case("input made anew as long", output=False),
    Case("input made anew longer", output=False, size=2.0),
    Case("input made anew longer while stopped", output=False, size=2.0, running=False),
    Case("input deleted", output=False, size=None),
    Case("output made anew", output=True),
    Case("output made anew while stopped", output=True, running=False),
    Case("output deleted", output=True, size=None),
)


def replace_topic(stack: Stack, directory: Path, seed: int, case: Case) -> Result:
    """Label, replace a topic, be told the true cause, and be right in the end."""
    name = "reset_" + case.name.replace(" ", "_")
    with Arena(stack, directory, name, seed, flowing=False) as arena:
        arena.feeder.write(N_TRANSACTIONS)
        running = arena.clients.start()
        arena.settle(running)
        if not case.running:
            running.stop()
        written, began = len(running.output), time.time()
        _delete(arena, case)
        if case.size is not None:
            _make(arena, case, case.size)
        if case.running:
            _wait_until_said(running, _topic(arena, case), written)
            arena.recovery.append(time.time() - began)
        if case.size is None:
            _make(arena, case, 1.0)
        arena.faults += 1
        said = running.output[written:].splitlines()[:1] + _go_on(arena, running, _topic(arena, case))
        arena.feeder.write(N_TRANSACTIONS)
        result = arena.finish(arena.clients.start(), stepwise=False, watched=False, onward=False)
        result.notes += said
        return result


def _topic(arena: Arena, case: Case) -> str:
    return arena.pipeline.output if case.output else arena.pipeline.source


def _delete(arena: Arena, case: Case) -> None:
    arena.pipeline.topics.delete(_topic(arena, case))


def _make(arena: Arena, case: Case, size: float) -> None:
    """Make the topic anew; an input gets records of its own."""
    if case.output:
        arena.pipeline.topics.create(arena.pipeline.output, 1, {"cleanup.policy": "compact"})
        return
    arena.pipeline.topics.create(arena.pipeline.source, PARTITIONS)
    arena.feeder.forget()
    arena.feeder.write(int(size * N_TRANSACTIONS))
    arena.feeder.flush()


def _wait_until_said(running: TracedClient, topic: str, written: int) -> None:
    cause = re.compile(rf"{topic}\b.*{CAUSE}")

    def said() -> bool:
        return cause.search(running.output[written:]) is not None

    wait_until(lambda: said() or not running.running, f"the client to say what became of {topic}", SAID_S)
    if not said():
        raise AssertionError(
            f"{topic} was replaced, and the client ended without a word of it:\n{running.output[-3000:]}"
        )


def _go_on(arena: Arena, running: TracedClient, topic: str) -> list[str]:
    """Let a client that goes on read all, and stop it; start again, with --rebuild once that is refused.

    Returns the refusals. A plain start is either refused for the true cause, or right.
    """
    if running.running:
        arena.settle(running)
        running.stop()
    refusals: list[str] = []
    for more in ([], ["--rebuild"]):
        done = client.run(arena.pipeline.arguments("--until-end", *more))
        if done.code == 0:
            return refusals
        refusals.append(done.stderr.splitlines()[-1])
        if not re.fullmatch(rf"user_classifier\.py: error: .*({topic}\b.*{CAUSE}|{OFFSETS_GONE}).*", refusals[-1]):
            raise AssertionError(f"refused for another reason than that {topic} was replaced:\n{done.output}")
    raise AssertionError(f"--rebuild does not mend it: {refusals}")
