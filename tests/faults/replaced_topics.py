"""Topics are deleted or recreated, during a run or between two: the client names the cause; labels end up right."""

import re
import time
from pathlib import Path
from typing import NamedTuple

from tests.faults.arena import PARTITIONS, Arena
from tests.faults.clients import TracedClient
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.support import inside
from tests.support.waiting import wait_until

N_TRANSACTIONS = 400
NOTICED_S = 40.0
"""The client checks topics every 10 s; a call and a busy machine take the rest."""
CAUSE = r"(was deleted (and|while)|no longer exists|does not exist)"
NO_OFFSETS = "but the group has no committed offsets"
"""Kafka deletes a group's offsets with the topic: a start that finds labels and no offsets names this cause."""


class Case(NamedTuple):
    """What happens to a topic."""

    name: str
    output: bool
    """The output, or else the input."""
    size: float | None = 1.0
    """Length of the new input as a share of the old; None: the topic is recreated after the client has noticed."""
    running: bool = True
    """Whether the client is running at the time."""


CASES = (
    Case("input recreated shorter", output=False, size=0.5),
    Case("input recreated as long", output=False),
    Case("input recreated longer", output=False, size=2.0),
    Case("input recreated longer while stopped", output=False, size=2.0, running=False),
    Case("input deleted", output=False, size=None),
    Case("output recreated", output=True),
    Case("output recreated while stopped", output=True, running=False),
    Case("output deleted", output=True, size=None),
)


def replace_topic(stack: Stack, directory: Path, seed: int, case: Case) -> Result:
    """Label, replace a topic, wait for the message, rebuild if that is asked for, and judge the labels."""
    name = "reset_topic_" + case.name.replace(" ", "_")
    with Arena(stack, directory, name, seed, flowing=False) as arena:
        arena.feeder.write(N_TRANSACTIONS)
        running = arena.clients.start()
        arena.settle(running)
        if not case.running:
            running.stop()
        written = len(running.output)
        began = time.time()
        _delete(arena, case)
        if case.size is not None:
            _create(arena, case, case.size)
        if case.running:
            _wait_for_message(running, _topic(arena, case), written)
            arena.recovery.append(time.time() - began)
        if case.size is None:
            _create(arena, case, 1.0)
        arena.faults += 1
        messages = running.output[written:].splitlines()[:1] + _continue(arena, running, _topic(arena, case))
        arena.feeder.write(N_TRANSACTIONS)
        result = arena.finish(arena.clients.start(), stepwise=False, watched=False, onward=False)
        result.notes += messages
        return result


def _topic(arena: Arena, case: Case) -> str:
    return arena.pipeline.output if case.output else arena.pipeline.source


def _delete(arena: Arena, case: Case) -> None:
    arena.pipeline.topics.delete(_topic(arena, case))


def _create(arena: Arena, case: Case, size: float) -> None:
    """Recreate the topic; an input gets new records."""
    if case.output:
        arena.pipeline.topics.create(arena.pipeline.output, 1, {"cleanup.policy": "compact"})
        return
    arena.pipeline.topics.create(arena.pipeline.source, PARTITIONS)
    arena.feeder.forget()
    arena.feeder.write(int(size * N_TRANSACTIONS))
    arena.feeder.flush()


def _wait_for_message(running: TracedClient, topic: str, written: int) -> None:
    cause = re.compile(rf"{topic}\b.*{CAUSE}")

    def noticed() -> bool:
        return cause.search(running.output[written:]) is not None

    wait_until(lambda: noticed() or not running.running, f"a message about {topic}", NOTICED_S)
    if not noticed():
        raise AssertionError(f"{topic} was replaced, and the client ended without naming it:\n{running.output[-3000:]}")


def _continue(arena: Arena, running: TracedClient, topic: str) -> list[str]:
    """Stop a client that still runs, once it has read all; start again, with --rebuild once that is refused.

    Returns the refusals. A plain start either is refused for the true cause, or ends with right labels.
    """
    if running.running:
        arena.settle(running)
        running.stop()
    refusals: list[str] = []
    for more in ([], ["--rebuild"]):
        done = inside.run(arena.pipeline.arguments("--until-end", *more))
        if done.code == 0:
            return refusals
        refusals.append(done.stderr.splitlines()[-1])
        if not re.fullmatch(rf"user_classifier\.py: error: .*({topic}\b.*{CAUSE}|{NO_OFFSETS}).*", refusals[-1]):
            raise AssertionError(f"refused for another reason than that {topic} was replaced:\n{done.output}")
    raise AssertionError(f"--rebuild does not fix it: {refusals}")
