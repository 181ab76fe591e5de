"""A restart with many users: seconds until the label of a record that was written meanwhile is readable."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.client import Client
from benchmarks.measures.label_tail import LabelTail
from benchmarks.processes import CLIENT, Background
from benchmarks.programs.job import USER
from benchmarks.summary import Summary

RESTART_SECONDS = 120.0
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Restart:
    """Restarts at one number of users."""

    n_users: int
    first_label_seconds: Summary
    peak_mib: Summary


def restart(client: Client, n_runs: int) -> Restart:
    """Restart a client that has labelled its input `n_runs` times."""
    runs = [one_restart(client) for _ in range(n_runs)]
    client.check()
    seconds, peaks = zip(*runs, strict=True)
    return Restart(client.source.n_users, Summary.of(seconds), Summary.of(peaks))


def one_restart(client: Client, timeout: float = RESTART_SECONDS) -> tuple[float, float]:
    """Return the seconds from the start to the new label, and the peak memory until then in MiB."""
    source = client.source
    user = int(source.rng.integers(source.n_users))
    source.write(source.add_events(np.array([user], np.int64)))
    count = int(source.history.counts[-1])
    tail = LabelTail(client.stack, client.output)

    def readable() -> bool:
        labels = tail.read(1000, POLL_SECONDS)
        return any(label.user_id == f"{USER}{user}" and label.num_transactions == count for label in labels)

    began = time.monotonic()
    with Background([sys.executable, CLIENT, *client.arguments()], client.log()) as background:
        background.wait_until(readable, timeout)
        seconds = time.monotonic() - began
        peak = background.peak_mib
        background.stop()
    tail.close()
    return seconds, peak
