"""The scale-out for a number of users: cells are sampled, the client's part runs, all else is computed from factors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.scale_out import factors
from benchmarks.scale_out.client_cost import ClientCost, client_cost
from benchmarks.scale_out.densities import DENSITIES, sample
from classifier.cells.lattice import lattice_up_to

N_CLUSTERS = 3
SEED = 7
FEWEST_USERS = 1e6


@dataclass(frozen=True)
class Simulated:
    """The result for one population and one number of users."""

    population: str
    n_users: float
    n_cells: int
    n_labels: int
    hottest: int
    """Users in the largest cell."""
    client: ClientCost

    @property
    def transactions(self) -> float:
        """Transactions per second."""
        return self.n_users * factors.TRANSACTIONS_PER_USER.value

    @property
    def records(self) -> float:
        """Records per second into each of statements 2 and 4."""
        return self.transactions * factors.INPUT_RECORDS.value

    @property
    def written_mb(self) -> float:
        """Megabytes per second into all topics."""
        return self.transactions * factors.WRITTEN_BYTES.value / 1e6

    @property
    def state_gb(self) -> float:
        """State of statement 4 in gigabytes."""
        return (self.n_users * factors.JOIN_BYTES.value + self.n_labels * factors.CELL_BYTES.value) / 1e9

    @property
    def cores(self) -> int:
        """Cores for both statements."""
        return 2 * max(1, math.ceil(self.records / factors.RECORDS_PER_CORE.value))

    @property
    def dollars(self) -> float:
        """Dollars per month for both statements."""
        return self.cores * factors.CFUS_PER_CORE.value * factors.CFU_HOUR.value * factors.HOURS_PER_MONTH

    @property
    def first_load_minutes(self) -> float:
        """Minutes until statement 4 has labelled all users once, on half of the cores."""
        return self.n_users / (self.cores / 2 * factors.LABELLED_PER_CORE.value) / 60

    @property
    def flips(self) -> float:
        """Users per minute that are written again because their label changes."""
        return self.n_users * factors.FLIPS.value

    @property
    def longest_stall(self) -> float:
        """Seconds that one task needs when the largest cell changes its label."""
        return self.hottest / factors.LABELLED_PER_CORE.value


def simulate(n_users: float) -> Iterator[Simulated]:
    """Simulate powers of ten up to `n_users` for each population."""
    numbers = np.unique([*10.0 ** np.arange(6, math.floor(math.log10(n_users)) + 1), n_users])
    for name, density in DENSITIES.items():
        for number in numbers.tolist():
            cells, users = sample(density, number, np.random.default_rng(SEED))
            cost = client_cost(cells, users, N_CLUSTERS)
            yield Simulated(name, number, len(cells), len(lattice_up_to(cells)), int(users.max()), cost)


HEAD = (
    *("population", "users", "cells", "labels", "state GB", "tx/s", "records/s", "MB/s", "cores", "$/month"),
    *("first load", "flips/min", "stall", "fit", "client"),
)


def rows(found: list[Simulated]) -> list[tuple[str, ...]]:
    """Return the rows of the printed table."""
    return [
        (
            *(each.population, f"{each.n_users:,.0f}", f"{each.n_cells:,}", f"{each.n_labels:,}"),
            *(f"{each.state_gb:.2f}", f"{each.transactions:,.0f}", f"{each.records:,.0f}", f"{each.written_mb:.1f}"),
            *(f"{each.cores}", f"{each.dollars:,.0f}", f"{each.first_load_minutes:,.0f} min", f"{each.flips:,.0f}"),
            *(f"{each.longest_stall:,.1f} s", f"{each.client.fit_seconds:.1f} s", f"{each.client.peak_mib:,.0f} MiB"),
        )
        for each in found
    ]
