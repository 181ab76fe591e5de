"""Five features in place of the two totals: records per second and memory of both on the same input, and steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.client import Client
from benchmarks.inputs import Input, wide_columns
from benchmarks.measures.changed_users import ChangedUsers, steps_of_new_client
from benchmarks.processes import Usage
from benchmarks.stack import Stack
from benchmarks.summary import Summary, paired_ratios
from benchmarks.verification import Labelled, expected_labels, labels_of_fit
from classifier.features import TIMES

FEATURES = ("total_amount", "num_transactions", "last_purchase", "num_visits", "mean_amount")
UNITS_PER_DAY = (0, 0, TIMES["timestamp-millis"].units_per_day, 0, 0)
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
    """Measure steps on an input with five features."""
    return steps_of_new_client(stack, source, n_steps, expected_on_five, *OPTIONS)


def expected_on_five(source: Input) -> Labelled:
    """Return the labels that the output must hold."""
    return labels_of_fit(source.history.rows(), five_of, units_per_day=UNITS_PER_DAY)


def five_of(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the five features of users by their totals."""
    amounts, counts = totals.T
    columns = wide_columns(amounts, counts.astype(np.int64))
    return np.column_stack((totals, *(columns[name] for name in FEATURES[2:])))
