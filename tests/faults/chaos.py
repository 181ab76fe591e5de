"""All fault scenarios in their long form: `python -m tests.faults.chaos [--seed N] [--minutes M]`.

Every scenario runs once, then again with the next seed until the time is over. The same seed repeats a run. Every
second scenario labels three features, one of them a point in time; with the next seed it is the others that do.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from confluent_kafka import KafkaException

from local.services.process import ServiceError
from tests.faults import replaced_topics, terminations
from tests.faults.broker_faults import ANSWERS_AFTER_3_S, HANGS, RESETS
from tests.faults.brokers import (
    KILL_COORDINATOR_OF_GROUP,
    KILL_COORDINATOR_OF_TRANSACTIONS,
    KILL_LEADER_OF_INPUT,
    KILL_LEADER_OF_OUTPUT,
    RESTART,
    stop_brokers,
)
from tests.faults.cluster import running_cluster
from tests.faults.compaction import compact
from tests.faults.freezes import freeze_client
from tests.faults.kills import kill_clients
from tests.faults.lagging_schemas import delay_schemas
from tests.faults.open_transactions import restore_during_transaction
from tests.faults.outages import kill_broker, kill_registry
from tests.faults.replies import lose_replies
from tests.faults.report import Result, table
from tests.faults.resets import RESETS as STATE_RESETS
from tests.faults.resets import kill_rebuild, reset
from tests.faults.second_statement import write_twice
from tests.faults.shortened_input import shorten_by_election, shorten_input
from tests.faults.slow_broker import label_slowly
from tests.faults.stack import RelayedStack, Stack, running_stack
from tests.faults.takeovers import take_over
from tests.faults.topics_change import grow, trim
from tests.faults.unresponsive_broker import disturb_brokers

MINUTES = 10.0
S = TypeVar("S", bound=Stack)
DOWN_S = [0.0, 60.0, *[3.0] * 8]
"""Seconds for which the broker is down, one entry for each outage."""
DISTURBANCES = [HANGS, ANSWERS_AFTER_3_S, RESETS]

Scenario = Callable[[RelayedStack, Path, int], Result]
ClusterScenario = Callable[[Stack, Path, int], Result]


def scenarios() -> list[Scenario]:
    """Return the scenarios for one broker."""
    return [
        partial(kill_clients, times=30),
        partial(kill_broker, down_s=DOWN_S),
        partial(kill_registry, times=3),
        partial(freeze_client, times=6),
        partial(take_over, times=10),
        partial(lose_replies, times=20),
        grow,
        trim,
        *(partial(reset, which=which) for which in STATE_RESETS),
        kill_rebuild,
        partial(compact, times=3),
        label_slowly,
        partial(disturb_brokers, name="broker_disturbed", faults=DISTURBANCES),
        shorten_input,
        partial(delay_schemas, name="registry_late", times=2),
    ]


def cluster_scenarios() -> list[ClusterScenario]:
    """Return the scenarios for three brokers."""
    return [
        partial(stop_brokers, name="brokers_restarted", faults=[RESTART] * 6),
        partial(stop_brokers, name="leaders_killed", faults=[KILL_LEADER_OF_OUTPUT, KILL_LEADER_OF_INPUT] * 2),
        partial(
            stop_brokers,
            name="coordinators_killed",
            faults=[KILL_COORDINATOR_OF_TRANSACTIONS, KILL_COORDINATOR_OF_GROUP] * 2,
        ),
        write_twice,
        *(partial(replaced_topics.replace_topic, case=case) for case in replaced_topics.CASES),
        *(partial(terminations.terminate, case=case) for case in terminations.CASES),
        restore_during_transaction,
        partial(disturb_brokers, name="one_of_three_disturbed", faults=DISTURBANCES * 2),
        shorten_by_election,
        partial(delay_schemas, name="registry_late_of_three", times=1),
    ]


def run(seed: int, minutes: float, directory: Path) -> Iterator[Result | None]:
    """Run all scenarios until the time is over; yield the results, None for a scenario that failed."""
    end = time.monotonic() + 60 * minutes
    with running_stack(directory / "one") as stack, running_cluster(directory / "three") as cluster:
        while True:
            yield from _round(scenarios(), stack, directory / str(seed), seed)
            yield from _round(cluster_scenarios(), cluster, directory / str(seed), seed)
            if time.monotonic() > end:
                return
            seed += 1


def _round(
    scenarios: Sequence[Callable[[S, Path, int], Result]], stack: S, directory: Path, seed: int
) -> Iterator[Result | None]:
    for number, scenario in enumerate(scenarios, seed):
        yield _attempt(scenario, replace(stack, timed=number % 2 == 1), directory, seed)


def _attempt(scenario: Callable[[S, Path, int], Result], stack: S, directory: Path, seed: int) -> Result | None:
    began = time.monotonic()
    try:
        result = scenario(stack, directory, seed)
    except (AssertionError, RuntimeError, OSError, ServiceError, KafkaException) as error:  # TimeoutError is an OSError
        print(f"FAILED with seed {seed}: {scenario}\n{error}", flush=True)
        stack.revive()
        return None
    print(result.line(), f"  {time.monotonic() - began:.0f} s", flush=True)
    print("".join(f"    {each}\n" for each in result.verdict.untrue), end="", flush=True)
    return result


def main() -> int:
    """Run the scenarios and print a table; return 1 if any of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description="Faults against real services.")
    parser.add_argument("--seed", type=int, default=1, help="repeats a run (default: %(default)s)")
    parser.add_argument(
        "--minutes",
        type=float,
        default=MINUTES,
        help="minimum duration; a round is always completed (default: %(default)s)",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        attempts = list(run(arguments.seed, arguments.minutes, Path(directory)))
    results = [result for result in attempts if result is not None]
    print(f"\n{table(results)}")
    failed = [result for result in results if not result.passed]
    n_failed = len(failed) + len(attempts) - len(results)
    print(f"seed {arguments.seed}: {n_failed} of {len(attempts)} scenarios failed")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
