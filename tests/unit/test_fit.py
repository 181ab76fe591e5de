"""The fit gives the clusters of the original, with labels in the order of spending."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import oracle, original
from tests.support.changelog import Row
from user_classifier import cluster, one_hot_totals

Totals = NDArray[np.float64]
N_TABLES = 200


def random_table(seed: int) -> tuple[Totals, int]:
    """3 to 300 users with continuous amounts, in groups more or less apart, and a number of clusters."""
    rng = np.random.default_rng(seed)
    n_users, n_clusters = int(rng.integers(3, 301)), int(rng.integers(2, 6))
    habit = rng.choice(rng.lognormal(4, 1.5, size=int(rng.integers(1, 7))), n_users)
    counts = rng.poisson(20, n_users) + 1
    return np.column_stack((habit * counts * rng.uniform(0.5, 1.5, n_users), counts)), min(n_clusters, n_users)


def partition(labels: NDArray[np.int32]) -> set[frozenset[int]]:
    """The clusters as sets of users, whatever their numbers."""
    return {frozenset(np.flatnonzero(labels == number).tolist()) for number in np.unique(labels)}


def inertia(totals: Totals, labels: NDArray[np.int32]) -> float:
    """Sum of squared distances to the centers, in one-hot user_id and totals, from the definition."""
    points = np.hstack((np.eye(len(totals)), totals))
    parts = (points[labels == number] for number in np.unique(labels))
    return float(sum(((part - part.mean(axis=0)) ** 2).sum() for part in parts))


def test_same_partition_and_inertia_as_the_original() -> None:
    different = []
    for seed in range(N_TABLES):
        totals, n_clusters = random_table(seed)
        rows = [Row(f"User_{at:03}", amount, int(count)) for at, (amount, count) in enumerate(totals.tolist())]
        expected = original.cluster(rows, n_clusters)
        labels = cluster(totals, n_clusters).labels
        assert inertia(totals, labels) == pytest.approx(expected.inertia, rel=1e-9), f"seed {seed}"
        if partition(labels) != partition(expected.numbers):
            different.append(seed)
    assert different == []


@pytest.mark.parametrize("seed", range(20))
def test_labels_ascend_with_the_centers_amount(seed: int) -> None:
    totals, n_clusters = random_table(seed)
    labels, centers = cluster(totals, n_clusters)[:2]
    assert sorted(set(labels.tolist())) == list(range(n_clusters))
    assert (np.diff(centers[:, 0]) > 0).all()
    means = [totals[labels == number].mean(axis=0) for number in range(n_clusters)]
    assert centers == pytest.approx(np.array(means))


def test_hand_computed_labels() -> None:
    totals = np.array([[2015.4, 34], [102.0, 4], [608.8, 13], [98.0, 3], [2100.0, 36]])
    assert cluster(totals, 3).labels.tolist() == [2, 0, 1, 0, 2]


@pytest.mark.parametrize("n_users", [0, 1, 2])
def test_fewer_users_than_clusters_are_all_0(n_users: int) -> None:
    totals = np.arange(2.0 * n_users).reshape(n_users, 2)
    labels = cluster(totals, 3).labels
    assert labels.tolist() == [0] * n_users


def test_as_many_users_as_clusters_are_ranked() -> None:
    assert cluster(np.array([[5.0, 1], [1.0, 9], [3.0, 2]]), 3).labels.tolist() == [2, 0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_the_oracle_agrees(seed: int) -> None:
    totals, n_clusters = random_table(seed)
    table = {f"User_{at:03}": (amount, int(count)) for at, (amount, count) in enumerate(totals.tolist())}
    assert list(oracle.labels(table, n_clusters).values()) == cluster(totals, n_clusters).labels.tolist()


@pytest.mark.parametrize("scale", [1e-3, 1e6])
def test_the_currency_does_not_matter_where_amounts_dominate(scale: float) -> None:
    """Groups far apart stay together, whatever the unit of the amounts, as long as they outweigh the one-hot part."""
    rng = np.random.default_rng(1)
    groups = np.repeat([1e5, 2e6, 3e7], 20)
    totals = np.column_stack((groups * rng.uniform(0.9, 1.1, 60), np.full(60, 7.0)))
    scaled = totals * [scale, 1]
    assert cluster(scaled, 3).labels.tolist() == cluster(totals, 3).labels.tolist() == np.repeat([0, 1, 2], 20).tolist()


def test_the_same_table_gives_the_same_labels() -> None:
    totals, n_clusters = random_table(7)
    first, second = cluster(totals, n_clusters), cluster(totals.copy(), n_clusters)
    assert first.labels.tolist() == second.labels.tolist()


def test_more_runs_are_never_worse() -> None:
    for seed in range(10):
        totals, n_clusters = random_table(seed)
        one, ten = (cluster(totals, n_clusters, n_init).labels for n_init in (1, 10))
        assert inertia(totals, ten) <= inertia(totals, one) * (1 + 1e-9)


def test_the_matrix_is_the_one_hot_encoding_and_the_totals() -> None:
    totals = np.array([[1.5, 2], [3.5, 4], [5.5, 6]])
    assert one_hot_totals(totals).toarray().tolist() == np.hstack((np.eye(3), totals)).tolist()
