"""One step with 1 % of the users changed and --fit cells, beside the bare KMeans.fit on all users of the same table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.client import Client
from benchmarks.inputs import Input
from benchmarks.lines.job import Row
from benchmarks.measures.changed_users import ChangedUsers, changed_users
from benchmarks.stack import Stack
from benchmarks.verification import N_CLUSTERS, Labelled


@dataclass(frozen=True)
class CellSteps:
    """Steps on one scale; the fit in a step is cells, search and the run over all users."""

    scale: str
    steps: ChangedUsers


def cell_steps(stack: Stack, source: Input, scale: str, n_steps: int) -> CellSteps:
    """Label an input with a client of its own, and let it follow."""
    options = ("--fit", "cells", "--scale", scale)
    client = Client.new(stack, source)
    client.run(*options)
    steps = changed_users(client, n_steps, *options, check=False)
    client.check(expected_on_cells(source.history.rows(), scale))
    return CellSteps(scale, steps)


def expected_on_cells(rows: dict[str, Row], scale: str) -> Labelled:
    """What the output must hold: of every user the current row, and the label of a fit of just these."""
    from user_classifier import cluster

    users = sorted(rows)
    labels = cluster(np.array([rows[user] for user in users], np.float64), N_CLUSTERS, scale=scale, fit="cells").labels
    return {user: (*rows[user], label) for user, label in zip(users, labels.tolist(), strict=True)}
