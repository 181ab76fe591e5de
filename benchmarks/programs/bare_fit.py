"""KMeans.fit alone on a table, in a separate process: bare_fit.py TOTALS.npy RESULT.json"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from classifier.clustering.model import RANDOM_STATE, kmeans_class
from user_classifier import one_hot_totals

N_CLUSTERS = 3


def main() -> int:
    """Fit once, on the client's matrix and with its parameters."""
    table, result = map(Path, sys.argv[1:])
    matrix = one_hot_totals(np.load(table))
    # On one thread, as in the client.
    model = kmeans_class()(N_CLUSTERS, init="k-means++", n_init="auto", random_state=RANDOM_STATE, copy_x=False)
    began = time.monotonic()
    model.fit(matrix)
    fit_ms = 1000 * (time.monotonic() - began)
    result.write_text(json.dumps({"fit_ms": fit_ms, "iterations": model.n_iter_}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
