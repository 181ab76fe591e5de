"""Scores of numbers of clusters: silhouette, inertia, the best one, the table."""

import functools
import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.clustering.compare_k import Fit, comparison_lines, largest_silhouette, score_each, silhouette
from classifier.clustering.model import RANDOM_STATE, Clusters
from tests.support.kmeans import fitted_kmeans
from user_classifier import cluster, one_hot_totals

Totals = NDArray[np.float64]


def groups(seed: int, n_groups: int, n_users: int = 90) -> Totals:
    """Users in groups far apart."""
    rng = np.random.default_rng(seed)
    centers = np.column_stack((1000.0 * np.arange(1, n_groups + 1), 10.0 * np.arange(1, n_groups + 1)))
    return centers[np.arange(n_users) % n_groups] + rng.normal(scale=(30, 2), size=(n_users, 2))


@pytest.mark.parametrize("n_groups", range(2, 6))
def test_the_best_number_is_the_number_of_groups(n_groups: int) -> None:
    assert largest_silhouette(list(score_each(groups(n_groups, n_groups), cluster))).n_clusters == n_groups


@pytest.mark.parametrize(("n_users", "numbers"), [(2, []), (3, [2]), (5, [2, 3, 4]), (50, list(range(2, 11)))])
def test_as_many_clusters_as_the_users_allow(n_users: int, numbers: list[int]) -> None:
    totals = np.random.default_rng(0).uniform(1, 100, (n_users, 2))
    assert [fit.n_clusters for fit in score_each(totals, cluster)] == numbers


@pytest.mark.parametrize("seed", range(10))
def test_inertia_is_that_of_kmeans(seed: int) -> None:
    totals = np.random.default_rng(seed).lognormal(2, 1, (40 + seed, 2))
    model = fitted_kmeans(one_hot_totals(totals), 4, n_init="auto", random_state=RANDOM_STATE)
    (fit,) = score_each(totals, cluster, [4])
    assert fit.inertia == pytest.approx(model.inertia_, rel=1e-9)
    centers, labels = cluster(totals, 4).centers, cluster(totals, 4).labels
    of_totals = ((totals - centers[labels]) ** 2).sum()  # to which one-hot user_id adds n_users - n_clusters
    assert fit.inertia == pytest.approx(of_totals + len(totals) - 4, rel=1e-9)


def test_silhouette_from_its_definition() -> None:
    rng = np.random.default_rng(5)
    totals, labels = rng.uniform(0, 9, (30, 2)), rng.integers(0, 3, 30).astype(np.int32)
    scores = []
    for i, own in enumerate(labels):
        distances = np.hypot(*(totals - totals[i]).T)
        inside = distances[(labels == own) & (np.arange(30) != i)].mean()
        outside = min(distances[labels == other].mean() for other in range(3) if other != own)
        scores.append((outside - inside) / max(inside, outside))
    assert silhouette(totals, labels) == pytest.approx(np.mean(scores))


def test_few_users_are_all_scored() -> None:
    totals = groups(2, 3)
    (fit,) = score_each(totals, cluster, [3], max_sample=len(totals))
    assert fit.silhouette == silhouette(totals, cluster(totals, 3).labels)


def test_no_silhouette_of_one_cluster() -> None:
    assert np.isnan(silhouette(np.ones((5, 2)), np.zeros(5, np.int32)))


def test_every_fit_is_scored_on_the_same_sample_and_every_run_alike() -> None:
    totals = groups(1, 3, n_users=500)
    fitted: list[Totals] = []

    def by_amount(given: Totals, n_clusters: int, **_: object) -> Clusters:
        """Return two halves, whatever the number: then the silhouette depends on the sample alone."""
        fitted.append(given)
        labels = (given[:, 0] > 1500).astype(np.int32)
        return Clusters(labels, np.array([given[labels == label].mean(axis=0) for label in (0, 1)]))

    fits = list(itertools.chain(*(score_each(totals, by_amount, [2, 3], max_sample=50) for _ in range(2))))
    assert len({fit.silhouette for fit in fits}) == 1
    assert all(given is totals for given in fitted), "only the silhouette is sampled"
    halves = by_amount(totals, 2).labels
    assert fits[0].silhouette != pytest.approx(silhouette(totals, halves), abs=1e-9)


@pytest.mark.parametrize("max_sample", [50, 10_000])
def test_a_row_counts_as_many_users_as_its_weight(max_sample: int) -> None:
    totals = groups(4, 3)
    weights = np.random.default_rng(4).geometric(0.2, len(totals))

    def by_amount(given: Totals, n_clusters: int, **_: object) -> Clusters:
        return Clusters((given[:, 0] > 1500).astype(np.int32), given[:2])

    (rows,) = score_each(totals, by_amount, [2], max_sample, weights)
    (users,) = score_each(np.repeat(totals, weights, axis=0), by_amount, [2], max_sample)
    (one_each,) = score_each(totals, by_amount, [2], max_sample)
    assert rows.silhouette == pytest.approx(users.silhouette)
    assert rows.silhouette != pytest.approx(one_each.silhouette, abs=1e-9)


def test_weighted_rows_get_the_scores_of_their_users() -> None:
    totals = groups(6, 3, n_users=30)
    weights = np.random.default_rng(6).geometric(0.2, len(totals))
    found = [
        list(score_each(*given, weights=weights_))
        for given, weights_ in (
            ((totals, functools.partial(cluster, fit="cells")), weights),
            ((np.repeat(totals, weights, axis=0), functools.partial(cluster, fit="cells")), None),
        )
    ]
    assert [fit.n_clusters for fit in found[0]] == list(range(2, 11))
    for rows, users in zip(*found, strict=True):
        assert rows[:2] == pytest.approx(users[:2])
        assert rows.inertia == pytest.approx(users.inertia)


def test_the_silhouette_is_measured_on_the_scale() -> None:
    totals = np.random.default_rng(8).lognormal(3, 2, (80, 2))
    (fit,) = score_each(totals, functools.partial(cluster, scale="log"), [3])
    labels = cluster(totals, 3, scale="log").labels
    assert fit.silhouette == pytest.approx(silhouette(np.log1p(totals), labels))
    assert fit.silhouette != pytest.approx(silhouette(totals, labels), abs=1e-3)


def test_of_equal_silhouettes_the_fewest_clusters_win() -> None:
    fits = [Fit(2, float("nan"), 9.0), Fit(3, 0.5, 8.0), Fit(4, 0.7, 7.0), Fit(5, 0.7, 6.0)]
    assert largest_silhouette(fits).n_clusters == 4


def test_no_silhouette_counts_as_the_smallest() -> None:
    nan = float("nan")
    assert largest_silhouette([Fit(2, nan, 9.0), Fit(3, -0.9, 8.0)]).n_clusters == 3
    assert largest_silhouette([Fit(2, nan, 9.0), Fit(3, nan, 8.0)]).n_clusters == 2


def test_too_few_users_to_compare() -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        comparison_lines([], 2)
    assert str(raised.value) == (
        "too few users to compare numbers of clusters, at least 3 are needed; give a number: -k 3"
    )


FITS = [Fit(2, 0.856, 423_000.0), Fit(3, 0.9521, 3840.0), Fit(4, 0.742, 1623.0)]


def test_table_in_full() -> None:
    assert "\n".join(comparison_lines(FITS, 20_000)) == (
        """\
20,000 users, silhouette of 10,000 of them
 k  silhouette     inertia
 2       0.856    4.23e+05
 3       0.952    3.84e+03  best silhouette
 4       0.742    1.62e+03"""
    )
    assert comparison_lines(FITS, 10_000)[0] == "10,000 users"
    assert comparison_lines(FITS, 10_001, ", scale log")[0] == "10,001 users, silhouette of 10,000 of them, scale log"
