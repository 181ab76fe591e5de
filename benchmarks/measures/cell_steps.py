"""A step with 1 % of the users changed and --fit cells, compared with KMeans.fit alone on all users of the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.client import Client
from benchmarks.inputs import Input
from benchmarks.measures.changed_users import ChangedUsers, changed_users
from benchmarks.programs.job import Row
from benchmarks.stack import Stack
from benchmarks.verification import N_CLUSTERS, Labelled


@dataclass(frozen=True)
class CellSteps:
    """Steps with one --scale. The fit in a step: groups, search, and the Lloyd iterations on all users."""

    scale: str
    steps: ChangedUsers


def cell_steps(stack: Stack, source: Input, scale: str, n_steps: int) -> CellSteps:
    """Label an input with a new client, then measure steps of the same client."""
    options = ("--fit", "cells", "--scale", scale)
    client = Client.new(stack, source)
    client.run(*options)
    steps = changed_users(client, n_steps, *options, check=False)
    client.check(expected_on_cells(source.history.rows(), scale))
    return CellSteps(scale, steps)


def expected_on_cells(rows: dict[str, Row], scale: str) -> Labelled:
    """Return the labels that the output must hold: those of one fit on the current rows."""
    from user_classifier import cluster

    users = sorted(rows)
    totals = np.array([rows[user] for user in users], np.float64)
    labels = cluster(totals, N_CLUSTERS, scale=scale, fit="cells").labels
    return {user: (*rows[user], label) for user, label in zip(users, labels.tolist(), strict=True)}
