"""Plots of the CDNOW customers in three clusters: plain totals, their logarithms, and with recency."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from classifier.features import TOTALS, Feature, Features
from classifier.reports.plot import draw, save
from classifier.reports.step import Step
from img.paths import IMG
from tests.support.cdnow import AMOUNT, DATE, USER, cdnow_file
from user_classifier import cluster

N_CLUSTERS = 3
LAST_PURCHASE = datetime(1998, 6, 30, tzinfo=UTC)
RECENCY = Feature("last_purchase", "date")


class Picture(NamedTuple):
    """What one plot shows. `n_windows` is in how many windows a purchase is counted: two in statement 4 of sql/."""

    scale: str
    features: Features = TOTALS
    n_windows: int = 2
    plotted: tuple[str, ...] = TOTALS.names


PICTURES = {
    "cdnow-none.png": Picture("none"),
    "cdnow-log.png": Picture("log"),
    "cdnow-recency.png": Picture(
        "log-standard", Features((*TOTALS.items, RECENCY)), n_windows=1, plotted=("total_amount", "last_purchase")
    ),
}


def draw_cdnow() -> list[Path]:
    """Draw the plots; return their paths."""
    return [_draw(IMG / name, picture) for name, picture in PICTURES.items()]


def _draw(path: Path, picture: Picture) -> Path:
    users, features = _users(picture.n_windows), picture.features
    totals = users[list(features.names)].to_numpy(float)
    clusters = cluster(totals, N_CLUSTERS, scale=picture.scale, units_per_day=features.units_per_day)
    step = Step(
        user_ids=list(users.index),
        totals=totals,
        labels=clusters.labels,
        centers=clusters.centers,
        n_records=0,
        n_changes=0,
        fit_seconds=0.0,
        commit_seconds=0.0,
        lag={},
        scaling=clusters.scaling,
        features=features,
    )
    save(draw(step, (), LAST_PURCHASE, picture.plotted), path)
    return path


def _users(n_windows: int) -> pd.DataFrame:
    """Return the features of each customer, points in time in days since 1970."""
    purchases = pd.read_csv(cdnow_file(), sep=r"\s+", dtype={USER: str, DATE: str})
    days = pd.to_datetime(purchases[DATE], format="%Y%m%d")
    purchases[DATE] = (days - pd.Timestamp(0)).dt.days
    users = purchases.groupby(USER).agg(
        total_amount=(AMOUNT, "sum"), num_transactions=(AMOUNT, "size"), last_purchase=(DATE, "max")
    )
    return users.mul([n_windows, n_windows, 1])
