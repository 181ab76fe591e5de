"""A long run at a steady rate, with outages in between: `python -m tests.faults.soak [--minutes M] [--seed N]`.

Memory, threads and file descriptors of the client must not grow, and the labels must be right in the end.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from local.services.process import Service
from tests.faults.arena import Arena
from tests.faults.report import Result, table
from tests.faults.stack import Stack, running_stack

MINUTES = 30.0
PER_SECOND = 100
"""Transactions; each is up to two records."""
BETWEEN_S = 60.0
"""From the end of one outage to the next."""
AWAY_S = (1.0, 15.0, 5.0)
"""How long a service stays away, in turn."""
WARM_UP_SHARE = 0.25
"""Of the run, before what is measured counts: imports, caches, the first users, the first outages."""
SAMPLE_S = 1.0
MEGABYTE = 1e6


class Sample(NamedTuple):
    """What the client takes at one moment."""

    megabytes: float
    threads: int
    files: int
    """Descriptors, sockets among them."""


GENEROUS = Sample(megabytes=60.0, threads=15, files=30)
"""What the end may have more than the beginning. One leaked restore has eight threads, ten descriptors and 5 MB."""


class Meter(threading.Thread):
    """Looks at a process until it ends, or is told to stop."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._process, self._stopping = psutil.Process(pid), threading.Event()

    def run(self) -> None:
        """See Thread."""
        while not self._stopping.wait(SAMPLE_S):
            try:
                with self._process.oneshot():
                    resident = self._process.memory_info().rss / MEGABYTE
                    self.samples.append(Sample(resident, self._process.num_threads(), self._process.num_fds()))
            except psutil.NoSuchProcess:
                return

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self.join()


def typical(samples: Sequence[Sample]) -> Sample:
    """The median of each figure."""
    return Sample(*(median(figures) for figures in zip(*samples, strict=True)))


def growth(samples: Sequence[Sample]) -> tuple[Sample, Sample]:
    """The typical figures of the first and of the last third after the warm-up."""
    counted = samples[int(len(samples) * WARM_UP_SHARE) :]
    third = len(counted) // 3
    if third < 1:
        raise AssertionError(f"{len(samples)} samples are too few to see anything grow")
    return typical(counted[:third]), typical(counted[-third:])


def check_growth(first: Sample, last: Sample) -> None:
    """Fail where the client has grown by more than is generous."""
    grown = {name: last_figure - figure for name, figure, last_figure in zip(Sample._fields, first, last, strict=True)}
    if any(grown[name] > getattr(GENEROUS, name) for name in Sample._fields):
        raise AssertionError(f"the client has grown: from {first} to {last}, more than {GENEROUS} apart")


def soak(stack: Stack, directory: Path, seed: int, minutes: float, between_s: float = BETWEEN_S) -> Result:
    """Label at a steady rate; every minute the broker or the registry goes away for a while."""
    end = time.monotonic() + 60 * minutes
    with Arena(stack, directory, "soak", seed, per_second=PER_SECOND) as arena:
        client = arena.clients.start()
        arena.labels_flow()
        meter = Meter(client.pid)
        meter.start()
        while time.monotonic() < end:
            away_s = AWAY_S[arena.faults % len(AWAY_S)]
            _outage(arena, stack.registry if arena.faults % 4 == 3 else stack.broker, away_s)
            time.sleep(min(between_s, max(0.0, end - time.monotonic())))
            arena.labels_flow()
        meter.stop()
        result = arena.finish(client)
        first, last = growth(meter.samples)
        for name, before, after in zip(Sample._fields, first, last, strict=True):
            result.notes.append(f"{name}: {before:.1f} at first, {after:.1f} in the end")
        check_growth(first, last)
        return result


def _outage(arena: Arena, service: Service, away_s: float) -> None:
    service.kill()
    time.sleep(away_s)
    service.start()
    arena.recovered(time.time())
    arena.faults += 1


def main() -> int:
    """Print the table; exit 1 if the client has grown, or anything is wrong with the labels."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description="A long run with outages.")
    parser.add_argument("--seed", type=int, default=1, help="repeats a run (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long it takes (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as name, running_stack(Path(name)) as stack:
        result = soak(stack, Path(name), arguments.seed, arguments.minutes)
    print(table([result]))
    return 0 if result.verdict.clean else 1


if __name__ == "__main__":
    sys.exit(main())
