"""The client with its fits timed: timed_client.py RESULT ARGUMENTS_OF_THE_CLIENT...

After each fit, KMeans.fit runs once more, alone, on the same matrix; with --fit cells on the one-hot matrix of all
users.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import user_classifier
from classifier.clustering.model import RANDOM_STATE, kmeans_class

N_CLUSTERS = 3


class Fits:
    """Replaces KMeans.fit, and keeps the time of each call."""

    def __init__(self) -> None:
        self.in_steps_ms: list[float] = []
        """Of the client's fits."""
        self.bare_ms: list[float] = []
        """Of KMeans.fit alone."""
        self.encoding_ms: list[float] = []
        """Of the matrix for KMeans.fit alone, if the client has not built it."""
        self._fit = kmeans_class().fit

    def install(self) -> None:
        """Time every KMeans.fit from now on."""
        kmeans_class().fit = lambda model, matrix, *more, **named: self.fit(model, matrix, *more, **named)

    def fit(self, model: Any, matrix: Any, *more: Any, **named: Any) -> Any:
        """Fit a model, and time it; then time KMeans.fit alone."""
        began = time.monotonic()
        fitted = self._fit(model, matrix, *more, **named)
        self.in_steps_ms.append(milliseconds_since(began))
        self.fit_alone(matrix)
        return fitted

    def fit_alone(self, matrix: Any) -> None:
        """Time KMeans.fit alone, with the client's parameters, on one thread."""
        model = kmeans_class()(N_CLUSTERS, init="k-means++", n_init="auto", random_state=RANDOM_STATE)
        began = time.monotonic()
        self._fit(model, matrix)
        self.bare_ms.append(milliseconds_since(began))


class FitsOnCells(Fits):
    """Replaces the client's `cluster`, as a fit with --fit cells is more than KMeans.fit."""

    def __init__(self) -> None:
        super().__init__()
        self._cluster = user_classifier.cluster

    def install(self) -> None:
        """Time every fit of the client from now on."""
        user_classifier.cluster = self.cluster

    def cluster(self, totals: Any, n_clusters: int, *more: Any, **named: Any) -> Any:
        """Fit as the client does, and time it; then time KMeans.fit alone on all users."""
        began = time.monotonic()
        clusters = self._cluster(totals, n_clusters, *more, **named)
        self.in_steps_ms.append(milliseconds_since(began))
        began = time.monotonic()
        matrix = user_classifier.one_hot_totals(totals)
        self.encoding_ms.append(milliseconds_since(began))
        self.fit_alone(matrix)
        return clusters


def milliseconds_since(began: float) -> float:
    """Return the milliseconds since a time of the monotonic clock."""
    return 1000 * (time.monotonic() - began)


def main() -> int:
    """Run the client until it is stopped, save the times; return its exit code."""
    result, *arguments = sys.argv[1:]
    fits = FitsOnCells() if "cells" in arguments else Fits()
    fits.install()
    code = user_classifier.main(arguments)
    times = {"in_steps": fits.in_steps_ms, "bare": fits.bare_ms, "encoding": fits.encoding_ms}
    Path(result).write_text(json.dumps(times), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
