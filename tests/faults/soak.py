"""A long run at a constant rate with outages: `python -m tests.faults.soak [--minutes M] [--seed N]`.

Memory, threads and file descriptors of the client must not grow, and the labels must be correct at the end.
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
"""Transactions per second; each is one record or two."""
BETWEEN_S = 60.0
"""Seconds from the end of one outage to the next."""
DOWN_S = (1.0, 15.0, 5.0)
"""Seconds for which a service is down, in turn."""
WARM_UP_SHARE = 0.25
"""Share of the samples that do not count: imports, caches, the first users and outages."""
SAMPLE_S = 1.0
MEGABYTE = 1e6


class Sample(NamedTuple):
    """The client's use of resources at one moment."""

    megabytes: float
    threads: int
    files: int
    """File descriptors, including sockets."""


MAX_GROWTH = Sample(megabytes=60.0, threads=15, files=30)
"""From the beginning to the end. A single leaked restore has eight threads, ten descriptors and 5 MB."""


class Meter(threading.Thread):
    """Samples a process until the process ends or `stop` is called."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._process = psutil.Process(pid)
        self._stopping = threading.Event()

    def run(self) -> None:
        """Take samples; see threading.Thread."""
        while not self._stopping.wait(SAMPLE_S):
            try:
                with self._process.oneshot():
                    resident = self._process.memory_info().rss / MEGABYTE
                    self.samples.append(Sample(resident, self._process.num_threads(), self._process.num_fds()))
            except psutil.NoSuchProcess:
                return

    def stop(self) -> None:
        """Stop sampling."""
        self._stopping.set()
        self.join()


def typical(samples: Sequence[Sample]) -> Sample:
    """Return the median of each figure."""
    return Sample(*(median(figures) for figures in zip(*samples, strict=True)))


def growth(samples: Sequence[Sample]) -> tuple[Sample, Sample]:
    """Return the typical figures of the first and of the last third after the warm-up."""
    counted = samples[int(len(samples) * WARM_UP_SHARE) :]
    third = len(counted) // 3
    if third < 1:
        raise AssertionError(f"{len(samples)} samples are too few to measure growth")
    return typical(counted[:third]), typical(counted[-third:])


def check_growth(first: Sample, last: Sample) -> None:
    """Raise AssertionError if any figure has grown by more than MAX_GROWTH."""
    grown = {name: last_figure - figure for name, figure, last_figure in zip(Sample._fields, first, last, strict=True)}
    if any(grown[name] > getattr(MAX_GROWTH, name) for name in Sample._fields):
        raise AssertionError(f"the client has grown: from {first} to {last}, by more than {MAX_GROWTH}")


def soak(stack: Stack, directory: Path, seed: int, minutes: float, between_s: float = BETWEEN_S) -> Result:
    """Label at a constant rate while the broker or the registry is down from time to time."""
    end = time.monotonic() + 60 * minutes
    with Arena(stack, directory, "soak", seed, per_second=PER_SECOND) as arena:
        client = arena.clients.start()
        arena.labels_flow()
        meter = Meter(client.pid)
        meter.start()
        while time.monotonic() < end:
            service = stack.registry if arena.faults % 4 == 3 else stack.broker
            _outage(arena, service, DOWN_S[arena.faults % len(DOWN_S)])
            time.sleep(min(between_s, max(0.0, end - time.monotonic())))
            arena.labels_flow()
        meter.stop()
        result = arena.finish(client)
        first, last = growth(meter.samples)
        for name, before, after in zip(Sample._fields, first, last, strict=True):
            result.notes.append(f"{name}: {before:.1f} at the beginning, {after:.1f} at the end")
        check_growth(first, last)
        return result


def _outage(arena: Arena, service: Service, down_s: float) -> None:
    service.kill()
    time.sleep(down_s)
    service.start()
    arena.recovered(time.time())
    arena.faults += 1


def main() -> int:
    """Run it and print a table; return 1 if labels are wrong. AssertionError if the client has grown."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description="A long run with outages.")
    parser.add_argument("--seed", type=int, default=1, help="repeats a run (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="duration (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as name, running_stack(Path(name)) as stack:
        result = soak(stack, Path(name), arguments.seed, arguments.minutes)
    print(table([result]))
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
