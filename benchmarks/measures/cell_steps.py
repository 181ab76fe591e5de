"""A step with 1 % of the users changed and --fit cells, compared with KMeans.fit alone on all users of the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.inputs import Input
from benchmarks.measures.changed_users import ChangedUsers, steps_of_new_client
from benchmarks.stack import Stack
from benchmarks.verification import Labelled, labels_of_fit


@dataclass(frozen=True)
class CellSteps:
    """Steps with one --scale. The fit in a step: groups, search, and the Lloyd iterations on all users."""

    scale: str
    steps: ChangedUsers


def cell_steps(stack: Stack, source: Input, scale: str, n_steps: int) -> CellSteps:
    """Measure steps on an input with one --scale."""

    def expected(source: Input) -> Labelled:
        return labels_of_fit(source.history.rows(), np.asarray, scale=scale, fit="cells")

    options = ("--fit", "cells", "--scale", scale)
    return CellSteps(scale, steps_of_new_client(stack, source, n_steps, expected, *options))
