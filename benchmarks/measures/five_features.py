"""Five features in place of the two totals: records per second and memory of both on the same input, and steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.client import Client
from benchmarks.inputs import DAY_MS, Input, wide_columns
from benchmarks.measures.changed_users import ChangedUsers, changed_users
from benchmarks.processes import Usage
from benchmarks.stack import Stack
from benchmarks.summary import Summary, paired_ratios
from benchmarks.verification import N_CLUSTERS, Labelled, expected_labels

FEATURES = ("total_amount", "num_transactions", "last_purchase", "num_visits", "mean_amount")
UNITS_PER_DAY = (0, 0, DAY_MS, 0, 0)
OPTIONS = ("--features", ",".join(FEATURES))


@dataclass(frozen=True)
class FiveFeatures:
    """Catch-up with five features, and with the two totals, in alternating runs."""

    n_users: int
    n_records: int
    rate: Summary
    """Records per second with five features."""
    rate_over_totals: Summary
    """Round by round."""
    peak_mib: Summary
    peak_mib_of_totals: Summary


def five_features(stack: Stack, source: Input, n_runs: int) -> FiveFeatures:
    """Read an input to its end in alternating runs."""
    five: list[Usage] = []
    totals: list[Usage] = []
    expected = {OPTIONS: expected_on_five(source), (): expected_labels(source.history.rows())}
    for _ in range(n_runs):
        for options, usages in ((OPTIONS, five), ((), totals)):
            client = Client.new(stack, source)
            usages.append(client.run(*options).usage)
            client.check(expected[options])
            client.delete_output()
    rates = rates_of(five, source)
    return FiveFeatures(
        source.n_users,
        source.n_records,
        Summary.of(rates),
        Summary.of(paired_ratios(rates, rates_of(totals, source))),
        Summary.of([usage.peak_mib for usage in five]),
        Summary.of([usage.peak_mib for usage in totals]),
    )


def rates_of(usages: Sequence[Usage], source: Input) -> list[float]:
    """Return the records per second of each run."""
    return [source.n_records / usage.seconds for usage in usages]


def five_feature_steps(stack: Stack, source: Input, n_steps: int) -> ChangedUsers:
    """Label an input with a new client, then measure steps of the same client."""
    client = Client.new(stack, source)
    client.run(*OPTIONS)
    steps = changed_users(client, n_steps, *OPTIONS, check=False)
    client.check(expected_on_five(source))
    return steps


def expected_on_five(source: Input) -> Labelled:
    """Return the labels that the output must hold: those of one fit on the current rows."""
    from user_classifier import cluster

    rows = source.history.rows()
    users = sorted(rows)
    amounts, counts = np.array([rows[user] for user in users], np.float64).T
    columns = wide_columns(amounts, counts.astype(np.int64))
    matrix = np.column_stack((amounts, counts, *(columns[name] for name in FEATURES[2:])))
    labels = cluster(matrix, N_CLUSTERS, units_per_day=UNITS_PER_DAY).labels
    return {user: (*rows[user], label) for user, label in zip(users, labels.tolist(), strict=True)}
