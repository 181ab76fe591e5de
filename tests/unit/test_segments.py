"""--scale and --fit: the labels of scikit-learn on scaled totals; better optima and stable labels on groups."""

import functools
import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import user_classifier
from classifier.clustering.model import n_distinct
from classifier.clustering.scaling import fit_scaling
from classifier.clustering.search import best_fit
from classifier.config.settings import SCALES
from tests.support import scaled
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.customers import customers
from tests.support.kmeans import fitted_kmeans
from tests.support.optimum import clusterings, inertia
from tests.support.world import World
from user_classifier import cluster

Totals = NDArray[np.float64]
WAYS = [
    (scale, fit) for scale, fit in itertools.product(SCALES, ("users", "cells")) if (scale, fit) != ("none", "users")
]
"""All but that of the original, which test_fit.py tests."""


def some_users(seed: int, n_users: int = 400) -> Totals:
    """Users with very different totals, some of them below zero."""
    rng = np.random.default_rng(seed)
    counts = rng.geometric(0.1, n_users)
    return np.column_stack((rng.lognormal(3, 1.5, n_users) * counts * rng.choice([1, 1, 1, -1], n_users), counts))


# On a scale


@pytest.mark.parametrize("scale", ["standard", "log", "log-standard"])
@pytest.mark.parametrize("n_clusters", [2, 3, 5, 8])
@pytest.mark.parametrize("totals", [*(some_users(seed) for seed in range(3)), customers().totals])
def test_users_are_labelled_as_scikit_learn_does_on_the_scaled_totals(
    totals: Totals, n_clusters: int, scale: str
) -> None:
    model = fitted_kmeans(scaled.points(totals, scale), n_clusters, n_init=1, random_state=42)
    found = cluster(totals, n_clusters, scale=scale)
    ranks = scaled.ranks_by_amount(totals, model.labels_)
    assert found.labels.tolist() == [ranks[number] for number in model.labels_]
    assert found.inertia == pytest.approx(model.inertia_)
    numbers = [int(model.labels_[found.labels == label][0]) for label in range(n_clusters)]
    assert scaled.points(found.centers, scale, of=totals) == pytest.approx(model.cluster_centers_[numbers])


def test_with_logarithms_segments_have_useful_sizes() -> None:
    shares = {
        scale: np.bincount(cluster(customers().totals, 3, scale=scale).labels) / len(customers().totals)
        for scale in ("none", "log")
    }
    assert shares["none"].max() > 0.95
    assert shares["log"].min() > 0.15


def test_one_hot_user_ids_add_the_same_to_every_clustering() -> None:
    """n_users - n_clusters, so the best clustering is the same with and without them."""
    for seed, n_clusters in itertools.product(range(5), (2, 3)):
        totals = np.random.default_rng(seed).lognormal(size=(7, 2))
        with_ids = np.hstack((np.eye(7), totals))
        every = list(clusterings(7, n_clusters))
        plain, encoded = (np.array([inertia(points, each) for each in every]) for points in (totals, with_ids))
        assert encoded - plain == pytest.approx(7 - n_clusters)
        assert every[plain.argmin()] == every[encoded.argmin()]
        assert cluster(totals, n_clusters, fit="cells").inertia == pytest.approx(plain.min())


# Users of every kind


def repeated(*rows: tuple[float, float], times: int = 700) -> Totals:
    """Users of few distinct totals, in turn."""
    return np.tile(np.array(rows, np.float64), (times, 1))


TABLES = {
    "some spent, some were paid back": some_users(1, 3000),
    "one column constant": some_users(2, 3000) * [1, 0],
    "both constant": repeated((7.0, 7), times=3000),
    "all zero": repeated((0.0, 0)),
    "two different": repeated((5.0, 1), (9.0, 1)),
    "two that differ in the count": repeated((5.0, 1), (5.0, 2)),
    "four different": repeated((1.0, 1), (5.0, 1), (9.0, 2), (100.0, 4)),
    "three users": np.array([[5.0, 1], [1, 9], [3, 2]]),
    "one of the largest amount that is read": np.vstack((some_users(6, 3000), [(1e150, 3)])),
    "two of the largest amounts of both signs": np.vstack((some_users(3, 3000), [(1e150, 3), (-1e150, 4)])),
    "all of it huge": some_users(4, 3000) * [1e143, 1],
    "around 1e16": some_users(5, 3000) + np.array([1e16, 0]),
    "thousandths": np.column_stack((np.linspace(0.001, 0.01, 3000), np.ones(3000))),
    "billionths": np.column_stack((np.linspace(1e-9, 1e-7, 3000), np.ones(3000))),
    "a million, and 1 %": np.column_stack((np.linspace(0.99e6, 1.01e6, 3000), np.ones(3000))),
    "a million, and cents": np.column_stack((1e6 + 0.01 * (np.arange(3000) % 100), np.ones(3000))),
}


@pytest.mark.parametrize(("scale", "fit"), WAYS)
@pytest.mark.parametrize("name", TABLES)
def test_labels_of_any_users(name: str, scale: str, fit: str) -> None:
    totals = TABLES[name]
    found = cluster(totals, 3, scale=scale, fit=fit)
    used = sorted(set(found.labels.tolist()))
    assert used == list(range(len(used)))
    if np.abs(totals).max() < 1e15:  # next to larger ones, rounding may remove small differences
        assert len(used) == len(found.centers) == n_distinct(totals, 3)
    means = [totals[found.labels == label, 0].mean() for label in used]
    assert means == sorted(means)
    assert np.isfinite(found.centers).all()
    assert found.inertia >= 0
    assert found.scaling.name == scale
    _, at = np.unique(totals, axis=0, return_inverse=True)
    pairs = set(zip(at.ravel().tolist(), found.labels.tolist(), strict=True))
    assert len(pairs) == at.max() + 1, "equal users, equal labels"


@pytest.mark.parametrize(("scale", "fit"), WAYS)
@pytest.mark.parametrize("n_users", [0, 1, 2])
def test_fewer_users_than_clusters_are_all_0(n_users: int, scale: str, fit: str) -> None:
    totals = np.arange(2.0 * n_users).reshape(n_users, 2)
    found = cluster(totals, 3, scale=scale, fit=fit)
    assert found.labels.tolist() == [0] * n_users
    assert found.centers.tolist() == [[n_users - 1.0, n_users]] * bool(n_users), "the mean"
    assert found.scaling.name == scale


@pytest.mark.parametrize(("scale", "fit"), WAYS)
def test_more_clusters_than_different_totals(scale: str, fit: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(scale=scale, fit=fit)
    rows = [Row(f"u{number}", 100.0 * (number % 2), 1) for number in range(10)]
    world.write([Placed(0, Change(Op.INSERT, row)) for row in rows])
    assert world.run() is None
    assert {row.total_amount: row.label for row in world.labelling().values()} == {0.0: 0, 100.0: 1}
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "10 users with 2 distinct totals, fewer than the 3 clusters: the other labels stay unused;"
        " choose fewer clusters: -k 2"
    ]


# On groups

LEAST = {
    (69_659, "none"): {3: 4.32543820e8, 5: 1.82812173e8, 8: 6.69836774e7},
    (69_659, "standard"): {3: 17900.49509, 5: 9555.39734, 8: 5644.94908},
    (69_659, "log"): {3: 7959.79065, 5: 4313.74129, 8: 2821.42272},
    (20_000, "none"): {5: 5068227.43, 8: 2164784.56},
    (20_000, "standard"): {5: 8076.21705, 8: 4545.85543},
    (20_000, "log"): {5: 1439.35450, 8: 835.63132},
    (5_000, "none"): {5: 677194.998, 8: 253787.616},
    (5_000, "standard"): {5: 1654.38404, 8: 833.729160},
    (5_000, "log"): {5: 282.187284, 8: 155.500414},
}
"""Inertia of KMeans(n_init=60, random_state=1) on all customers after so many purchases, as benchmarks measure it."""


@pytest.mark.parametrize(("n_purchases", "scale"), LEAST)
def test_groups_find_the_optimum_of_sixty_runs_on_all_users(n_purchases: int, scale: str) -> None:
    totals = customers(n_purchases).totals
    for n_clusters, least in LEAST[n_purchases, scale].items():
        found = cluster(totals, n_clusters, scale=scale, fit="cells")
        assert found.inertia < 1.001 * least
        points = fit_scaling(scale, totals).points(totals)
        centers = found.scaling.points(found.centers)
        assert found.inertia == pytest.approx(((points - centers[found.labels]) ** 2).sum())


@pytest.mark.parametrize("scale", SCALES)
def test_the_last_run_is_over_all_users(scale: str) -> None:
    """Each has the label of the nearest center, and centers are the means of their users."""
    totals = customers().totals
    found = cluster(totals, 5, scale=scale, fit="cells")
    points = scaled.points(totals, scale)
    means = np.array([points[found.labels == label].mean(axis=0) for label in range(5)])
    distances = [((points - center) ** 2).sum(axis=1) for center in means]
    assert (np.argmin(distances, axis=0) != found.labels).mean() < 0.002
    assert found.inertia == pytest.approx(
        sum(distances[label][found.labels == label].sum() for label in range(5)), 1e-4
    )


@pytest.mark.parametrize("scale", SCALES)
def test_the_same_table_gives_the_same_labels(scale: str) -> None:
    totals = some_users(9, 5000)
    first = cluster(totals, 5, scale=scale, fit="cells")
    cluster(totals[:4000], 5, scale=scale, fit="cells")
    second = cluster(totals.copy(), 5, scale=scale, fit="cells")
    assert first.labels.tolist() == second.labels.tolist()
    assert (first.centers == second.centers).all()


@pytest.mark.parametrize(("given", "n_runs"), [("auto", 30), (7, 7)])
def test_the_number_of_runs(given: Any, n_runs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    n_init = []

    def counted(*arguments: Any) -> Any:
        n_init.append(arguments[3])
        return best_fit(*arguments)

    monkeypatch.setattr(user_classifier, "best_fit", counted)
    cluster(some_users(1), 3, given, fit="cells")
    assert n_init == [n_runs]


def shares_moved(fit: str, step: int = 1000) -> list[float]:
    """For each step of a feed by date, the share of known customers whose label changes."""
    fitted = functools.partial(cluster, n_clusters=5, scale="log", fit=fit)
    shares, before, labels = [], customers(step).numbers, fitted(customers(step).totals).labels
    for n_purchases in range(2 * step, 69_659, step):
        now = customers(n_purchases)
        new_labels = fitted(now.totals).labels
        shares.append(float((new_labels[np.searchsorted(now.numbers, before)] != labels).mean()))
        before, labels = now.numbers, new_labels
    return shares


def test_labels_are_more_stable_on_groups() -> None:
    moved = {fit: shares_moved(fit) for fit in ("users", "cells")}
    assert len(moved["cells"]) == 68
    assert np.median(moved["cells"]) <= 0.03
    assert np.median(moved["users"]) > 0.05, "else there is nothing to gain"
