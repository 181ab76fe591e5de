"""The client in a process that also takes the time of KMeans.fit: timed_client.py RESULT ARGUMENTS_OF_THE_CLIENT...

Each fit is made once more, bare, on the same matrix a moment later; with --fit cells on that of all users.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from sklearn.cluster import KMeans

import user_classifier

N_CLUSTERS = 3


class Fits:
    """Stands in for KMeans.fit and notes each call."""

    def __init__(self) -> None:
        self.in_steps_ms: list[float] = []
        self.bare_ms: list[float] = []
        self.encoding_ms: list[float] = []
        """Of the matrix, where the client itself makes none."""
        self._fit = KMeans.fit

    def install(self) -> None:
        """Let every KMeans fit be noted here."""
        KMeans.fit = lambda model, matrix, *more, **named: self.fit(model, matrix, *more, **named)

    def fit(self, model: Any, matrix: Any, *more: Any, **named: Any) -> Any:
        """Fit, and fit once more, with the time taken by each."""
        began = time.monotonic()
        fitted = self._fit(model, matrix, *more, **named)
        between = time.monotonic()
        self._fit(KMeans(N_CLUSTERS, init="k-means++", n_init="auto", random_state=42), matrix)
        self.in_steps_ms.append(1000 * (between - began))
        self.bare_ms.append(1000 * (time.monotonic() - between))
        return fitted


class FitsOnCells(Fits):
    """Stands in for the whole of a fit: cells, search, the run over all users."""

    def __init__(self) -> None:
        super().__init__()
        self._cluster = user_classifier.cluster

    def install(self) -> None:
        """Let every fit of the client be noted here."""
        user_classifier.cluster = self.cluster

    def cluster(self, totals: Any, n_clusters: int, *more: Any, **named: Any) -> Any:
        """Fit, and fit all users one-hot, with the time taken by each."""
        began = time.monotonic()
        found = self._cluster(totals, n_clusters, *more, **named)
        between = time.monotonic()
        matrix = user_classifier.one_hot_totals(totals)
        encoded = time.monotonic()
        self._fit(KMeans(N_CLUSTERS, init="k-means++", n_init="auto", random_state=42), matrix)
        self.in_steps_ms.append(1000 * (between - began))
        self.bare_ms.append(1000 * (time.monotonic() - encoded))
        self.encoding_ms.append(1000 * (encoded - between))
        return found


def main() -> int:
    """Run the client until it is told to stop; return its exit code."""
    result, *arguments = sys.argv[1:]
    fits = FitsOnCells() if "cells" in arguments else Fits()
    fits.install()
    code = user_classifier.main(arguments)
    found = {"in_steps": fits.in_steps_ms, "bare": fits.bare_ms, "encoding": fits.encoding_ms}
    Path(result).write_text(json.dumps(found), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
