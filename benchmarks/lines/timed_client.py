"""The client in a process that also takes the time of KMeans.fit: timed_client.py RESULT ARGUMENTS_OF_THE_CLIENT...

Each fit is made once more, bare, on the same matrix a moment later.
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


def main() -> int:
    """Run the client until it is told to stop; return its exit code."""
    result, *arguments = sys.argv[1:]
    fits = Fits()
    fits.install()
    code = user_classifier.main(arguments)
    found = {"in_steps": fits.in_steps_ms, "bare": fits.bare_ms}
    Path(result).write_text(json.dumps(found), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
