"""State and offsets do not match: the client refuses to start and names the cause; `--rebuild` fixes it."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.faults.arena import PARTITIONS, Arena
from tests.faults.report import Result
from tests.faults.stack import Stack
from tests.faults.steps import EXIT, Aim, Step
from tests.support import inside
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

N_TRANSACTIONS = 400
AGAIN = "; to start over: run again with --rebuild"
TIMEOUT_S = 30.0


class Reset(NamedTuple):
    """What an operator does while the client is stopped, and the refusal that must follow."""

    name: str
    do: Callable[[Arena], None]
    refusal: str
    """Regular expression with {source}, {output} and {n}, the number of users."""


def admin_of(pipeline: Pipeline) -> AdminClient:
    """An admin client."""
    return AdminClient({"bootstrap.servers": pipeline.topics.bootstrap_servers, "log_level": 0})


def recreate_output(arena: Arena) -> None:
    """Delete and recreate the output."""
    pipeline = arena.pipeline
    _recreate(pipeline, pipeline.output, 1, {"cleanup.policy": "compact"})


def recreate_input(arena: Arena) -> None:
    """Delete and recreate the input, with fewer records."""
    _recreate(arena.pipeline, arena.pipeline.source, PARTITIONS, {})
    arena.feeder.forget()
    arena.feeder.write(N_TRANSACTIONS // 4)


def _recreate(pipeline: Pipeline, topic: str, partitions: int, config: dict[str, str]) -> None:
    pipeline.topics.delete(topic)
    wait_until(lambda: topic not in admin_of(pipeline).list_topics(timeout=TIMEOUT_S).topics, f"{topic} to be deleted")
    pipeline.topics.create(topic, partitions, config)


def reset_offsets(arena: Arena) -> None:
    """kafka-consumer-groups --reset-offsets --to-earliest: offsets without metadata."""
    offsets = [TopicPartition(arena.pipeline.source, at, 0) for at in range(PARTITIONS)]
    request = ConsumerGroupTopicPartitions(arena.pipeline.group, offsets)
    admin = admin_of(arena.pipeline)  # a garbage-collected AdminClient does not answer
    admin.alter_consumer_group_offsets([request])[arena.pipeline.group].result(TIMEOUT_S)


def delete_group(arena: Arena) -> None:
    """kafka-consumer-groups --delete."""
    admin = admin_of(arena.pipeline)
    admin.delete_consumer_groups([arena.pipeline.group])[arena.pipeline.group].result(TIMEOUT_S)


def trim_unread(arena: Arena) -> None:
    """Retention deletes records that the client has not read yet."""
    arena.feeder.write(N_TRANSACTIONS)
    arena.feeder.trim()
    arena.feeder.write(N_TRANSACTIONS)


OFFSET = r"{source} \[\d\]: the committed offset"
NO_OFFSETS = r"{output} holds {n} users, but the group has no committed offsets"
RESETS = (
    Reset(
        "output recreated",
        recreate_output,
        r"{output} was deleted and recreated \(the labels that belong to .*\)",
    ),
    Reset(
        "offsets reset",
        reset_offsets,
        rf"{OFFSET} 0 was not written by user_classifier, {{output}} holds {{n}} users",
    ),
    Reset("group deleted", delete_group, NO_OFFSETS),
    Reset(
        "unread input deleted",
        trim_unread,
        rf"{OFFSET} is \d+, but the topic now begins at \d+ \(retention deleted unread records\)",
    ),
    # Kafka deletes the offsets with the topic.
    Reset("input recreated", recreate_input, NO_OFFSETS),
)


def reset(stack: Stack, directory: Path, seed: int, which: Reset) -> Result:
    """Label, stop, reset, check the refusal, rebuild."""
    name = "reset_" + re.sub(r"\W", "_", which.name)
    with Arena(stack, directory, name, seed, flowing=False) as arena:
        pipeline = arena.pipeline
        feeder = arena.feeder
        feeder.write(N_TRANSACTIONS)
        feeder.flush()
        _run(arena, 0)
        n_users = len(pipeline.labelling())
        which.do(arena)
        feeder.flush()
        refusal = which.refusal.format(source=pipeline.source, output=pipeline.output, n=n_users)
        message = _run(arena, 1)
        if not re.fullmatch(f"user_classifier.py: error: {refusal}{AGAIN}", message):
            raise AssertionError(f"{which.name}: expected {refusal}\nbut got: {message}")
        began = time.time()
        _run(arena, 0, "--rebuild")
        arena.recovery.append(time.time() - began)
        arena.faults += 1
        feeder.write(N_TRANSACTIONS)
        result = arena.finish(arena.clients.start(), stepwise=False, watched=False, onward=False)
        result.notes.append(message.removeprefix("user_classifier.py: error: "))
        return result


def kill_rebuild(stack: Stack, directory: Path, seed: int) -> Result:
    """A rebuild is killed; the next start without --rebuild continues it."""
    with Arena(stack, directory, "rebuild_killed", seed, flowing=False) as arena:
        arena.feeder.write(N_TRANSACTIONS)
        arena.feeder.flush()
        _run(arena, 0)
        for entry in (1, arena.rng.randint(3, 30)):
            killed = arena.clients.start("--rebuild", "--batch-size", "7", aim=Aim(Step.COMMIT, entry, EXIT, "SIGKILL"))
            if killed.wait() != -9:
                raise AssertionError(f"the rebuild was not killed:\n{killed.output}")
            arena.faults += 1
            began = time.time()
            _run(arena, 0)
            arena.recovery.append(time.time() - began)
        return arena.finish(arena.clients.start(), stepwise=False, onward=False)


def _run(arena: Arena, code: int, *more: str) -> str:
    """Run the client to the end of the input; return the last line it wrote."""
    done = inside.run(arena.pipeline.arguments("--until-end", *more))
    if done.code != code:
        raise AssertionError(f"{arena.name} {more}: exit {done.code}, not {code}:\n{done.output}")
    return done.stderr.splitlines()[-1]
