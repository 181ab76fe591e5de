"""The search for the best centres: never worse than its own runs, and the optimum where that is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.clustering import search
from classifier.clustering.grouping import group_users
from classifier.clustering.scaling import Scaling
from classifier.clustering.search import best_fit, refined
from tests.support.customers import customers
from tests.support.kmeans import fitted_kmeans
from tests.support.optimum import clusterings, inertia

Points = NDArray[np.float64]
SEED = 42


def some_points(seed: int, n_points: int = 200) -> tuple[Points, NDArray[np.int64]]:
    """Points in groups more or less apart, and how many users each stands for."""
    rng = np.random.default_rng(seed)
    groups = rng.normal(scale=5, size=(8, 2))
    return groups[rng.integers(8, size=n_points)] + rng.normal(size=(n_points, 2)), rng.geometric(0.2, n_points)


def corners(n_points: int = 25) -> Points:
    """Four groups with the same number of points each, far from each other and two and two nearer."""
    points = np.repeat([[0.0, 0], [10, 0], [100, 0], [110, 0]], n_points, axis=0)
    return points + np.random.default_rng(3).normal(scale=0.5, size=points.shape)


def ones(points: Points) -> NDArray[np.int64]:
    """Each point is one user."""
    return np.ones(len(points), np.int64)


@pytest.mark.parametrize("seed", range(10))
def test_never_worse_than_the_best_of_its_runs(seed: int) -> None:
    points, weights = some_points(seed)
    for n_clusters in (1, 3, 8):
        runs = fitted_kmeans(points, n_clusters, weights, n_init=5, random_state=SEED)
        assert best_fit(points, weights, n_clusters, 5, SEED).inertia_ <= runs.inertia_ * (1 + 1e-12)


def test_swaps_leave_a_poor_local_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = group_users(customers().totals)
    points = Scaling("log").points(groups.totals)
    inertias = {}
    for n_rounds in (0, search.MAX_ROUNDS):
        monkeypatch.setattr(search, "MAX_ROUNDS", n_rounds)
        inertias[n_rounds] = [best_fit(points, groups.weights, 5, 1, seed).inertia_ for seed in range(6, 10)]
    least = min(inertias[search.MAX_ROUNDS])
    assert max(inertias[0]) > 1.1 * least, "or there was no poor optimum"
    assert max(inertias[search.MAX_ROUNDS]) < 1.0001 * least


@pytest.mark.parametrize("seed", range(8))
def test_a_weight_is_as_many_users_and_the_best_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, weights = rng.lognormal(size=(6, 2)), rng.integers(1, 9, 6)
    repeated = np.repeat(points, weights, axis=0)
    least = min(inertia(repeated, tuple(np.repeat(labels, weights).tolist())) for labels in clusterings(len(points), 3))
    assert best_fit(points, weights, 3, 30, SEED).inertia_ == pytest.approx(least)
    assert best_fit(repeated, ones(repeated), 3, 30, SEED).inertia_ == pytest.approx(least)


def test_the_same_points_give_the_same_centres() -> None:
    """With so many clusters that two searches with different seeds hardly ever end in the same optimum."""
    points, weights = np.random.default_rng(11).uniform(size=(300, 2)), np.ones(300, np.int64)
    first, second = (best_fit(points.copy(), weights, 40, 1, SEED) for _ in range(2))
    assert (first.cluster_centers_ == second.cluster_centers_).all()


@pytest.mark.parametrize("n_points", [1, 2, 5])
def test_as_many_clusters_as_points(n_points: int) -> None:
    points, weights = some_points(12, n_points)
    assert best_fit(points, weights, n_points, 3, SEED).inertia_ == pytest.approx(0)


# Lloyd on users


@pytest.mark.parametrize("seed", range(10))
def test_a_run_from_centres_is_that_of_scikit_learn(seed: int) -> None:
    points, _ = some_points(seed, 2000)
    centers = points[:: len(points) // 4][:4]
    expected = fitted_kmeans(points, 4, init=centers, n_init=1)
    found = refined(points, centers)
    assert found.labels_.tolist() == expected.labels_.tolist()
    assert found.cluster_centers_ == pytest.approx(expected.cluster_centers_)
    assert found.inertia_ == pytest.approx(expected.inertia_)


@pytest.mark.parametrize("block_rows", [1, 7, 1999])
def test_blocks_give_the_same_fit_as_one_pass(block_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    points, weights = some_points(9, 2000)
    for given in (None, weights, weights / 8):
        whole = refined(points, points[:5], given)
        with monkeypatch.context() as patch:
            patch.setattr(search, "BLOCK_ROWS", block_rows)
            blocks = refined(points, points[:5], given)
        assert blocks.labels_.tolist() == whole.labels_.tolist()
        assert blocks.cluster_centers_ == pytest.approx(whole.cluster_centers_, rel=1e-12)
        assert blocks.inertia_ == pytest.approx(whole.inertia_, rel=1e-12)


def test_a_centre_without_users_stays() -> None:
    found = refined(np.array([[0.0, 0], [2, 0]]), np.array([[1.0, 0], [9, 9]]))
    assert found.labels_.tolist() == [0, 0]
    assert found.cluster_centers_.tolist() == [[1, 0], [9, 9]]


def test_optimal_centres_stay() -> None:
    points = corners()
    optimal = points.reshape(4, -1, 2).mean(axis=1)
    assert refined(points, optimal).cluster_centers_ == pytest.approx(optimal, rel=1e-12)


def test_users_at_the_same_distance_from_two_centres_get_the_same_label() -> None:
    """A matrix product may round the last rows differently from the first."""
    points = np.tile([[0.1, 0.7], [0.3, 0.7], [0.2, 0.7]], (1001, 1))
    labels = refined(points, np.array([[0.1, 0.7], [0.3, 0.7]])).labels_.reshape(-1, 3)
    assert (labels == labels[0]).all()
