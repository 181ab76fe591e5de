"""Plots of the CDNOW customers in three clusters, on plain totals and on their logarithms."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from classifier.reports.plot import draw, save
from classifier.reports.step import Step
from img.paths import IMG
from tests.support.cdnow import AMOUNT, USER, cdnow_file
from user_classifier import cluster

N_CLUSTERS = 3
WINDOWS = 2  # statement 4 counts each purchase in two windows
LAST_PURCHASE = datetime(1998, 6, 30, tzinfo=UTC)
PICTURES = {f"cdnow-{scale}.png": scale for scale in ("none", "log")}


def draw_cdnow() -> list[Path]:
    """Draw one plot for each scale; return their paths."""
    return [_draw(IMG / name, scale) for name, scale in PICTURES.items()]


def _draw(path: Path, scale: str) -> Path:
    purchases = pd.read_csv(cdnow_file(), sep=r"\s+", dtype={USER: str})
    user_totals = WINDOWS * purchases.groupby(USER)[AMOUNT].agg(["sum", "size"])
    totals = user_totals.to_numpy(float)
    clusters = cluster(totals, N_CLUSTERS, scale=scale)
    step = Step(
        user_ids=list(user_totals.index),
        totals=totals,
        labels=clusters.labels,
        centers=clusters.centers,
        n_records=0,
        n_changes=0,
        fit_seconds=0.0,
        commit_seconds=0.0,
        lag={},
        scaling=clusters.scaling,
    )
    save(draw(step, (), LAST_PURCHASE), path)
    return path
