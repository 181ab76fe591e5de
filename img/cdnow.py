"""The customers of CDNOW in three clusters, on plain totals and on their logarithms, as the client draws them."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from classifier.reports.plot import draw, save
from classifier.reports.step import Step
from img.places import IMG
from tests.support.cdnow import AMOUNT, USER, cdnow_file
from user_classifier import cluster

N_CLUSTERS = 3
WINDOWS = 2  # in which statement 4 counts each purchase
LAST_PURCHASE = datetime(1998, 6, 30, tzinfo=UTC)
PICTURES = {f"cdnow-{scale}.png": scale for scale in ("none", "log")}


def draw_cdnow() -> list[Path]:
    """Draw one picture for each scale."""
    return [_draw(IMG / name, scale) for name, scale in PICTURES.items()]


def _draw(path: Path, scale: str) -> Path:
    purchases = pd.read_csv(cdnow_file(), sep=r"\s+", dtype={USER: str})
    of_users = WINDOWS * purchases.groupby(USER)[AMOUNT].agg(["sum", "size"])
    totals = of_users.to_numpy(float)
    found = cluster(totals, N_CLUSTERS, scale=scale)
    step = Step(list(of_users.index), totals, found.labels, found.centers, 0, 0, 0.0, 0.0, {}, scaling=found.scaling)
    save(draw(step, (), LAST_PURCHASE), path)
    return path
