"""The client in a process that also takes the time of KMeans.fit: timed_client.py RESULT ARGUMENTS_OF_THE_CLIENT...

Within its steps, and bare: after the client has ended, on the matrices of the same steps.
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
        self.ms: list[float] = []
        self.matrices: list[Any] = []
        self._fit = KMeans.fit

    def install(self) -> None:
        """Let every KMeans fit be noted here."""
        KMeans.fit = lambda model, matrix, *more, **named: self.fit(model, matrix, *more, **named)

    def fit(self, model: Any, matrix: Any, *more: Any, **named: Any) -> Any:
        """Fit, with the time taken."""
        began = time.monotonic()
        fitted = self._fit(model, matrix, *more, **named)
        self.ms.append(1000 * (time.monotonic() - began))
        self.matrices.append(matrix)
        return fitted

    def bare_ms(self, matrix: Any) -> float:
        """One more fit."""
        model = KMeans(n_clusters=N_CLUSTERS, init="k-means++", n_init="auto", random_state=42)
        began = time.monotonic()
        self._fit(model, matrix)
        return 1000 * (time.monotonic() - began)


def main() -> int:
    """Run the client until it is told to stop; return its exit code."""
    result, *arguments = sys.argv[1:]
    fits = Fits()
    fits.install()
    code = user_classifier.main(arguments)
    bare = [fits.bare_ms(matrix) for matrix in fits.matrices]
    Path(result).write_text(json.dumps({"in_steps": fits.ms, "bare": bare}), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
