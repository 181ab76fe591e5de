"""The bare KMeans.fit on a table, in a process of its own: bare_fit.py TOTALS.npy RESULT.json"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from classifier.clustering.model import RANDOM_STATE
from user_classifier import one_hot_totals

N_CLUSTERS = 3


def main() -> int:
    """Fit once, on the matrix and as the client does."""
    table, result = map(Path, sys.argv[1:])
    matrix = one_hot_totals(np.load(table))
    model = KMeans(N_CLUSTERS, init="k-means++", n_init="auto", random_state=RANDOM_STATE, copy_x=False)
    with threadpool_limits(1):
        began = time.monotonic()
        model.fit(matrix)
        taken = {"fit_ms": 1000 * (time.monotonic() - began), "iterations": model.n_iter_}
    result.write_text(json.dumps(taken), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
