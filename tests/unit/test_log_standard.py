"""--scale log-standard: free of units, the labels of scikit-learn's pipeline, and worth it on real customers."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from classifier.clustering.scaling import fit_scaling, median, typical_size, variance_shares
from tests.support import scaled
from tests.support.cdnow import cdnow_file
from tests.support.customers import customers
from tests.support.kmeans import fitted_kmeans
from user_classifier import cluster

Totals = NDArray[np.float64]
SCALE = "log-standard"
DAY_MS = 86_400_000
# Numbers of any sign with many zeros, as of failed logins.
NUMBERS = st.one_of(st.just(0.0), st.floats(-1e9, -1e-9), st.floats(1e-9, 1e9))


@st.composite
def tables(draw: st.DrawFn) -> Totals:
    """Tables of 1 to 12 users with 1 to 4 features."""
    n_features = draw(st.integers(1, 4))
    rows = st.lists(st.tuples(*[NUMBERS] * n_features), min_size=1, max_size=12)
    return np.array(draw(rows), np.float64)


def points_of(totals: Totals) -> Totals:
    """The points of a table on its own scale."""
    return fit_scaling(SCALE, totals).points(totals)


@given(tables(), st.data())
def test_points_do_not_depend_on_units(totals: Totals, data: st.DataObject) -> None:
    units = st.sampled_from([0.001, 0.01, 1.0, 7.0, 100.0, 1e6])
    factors = [data.draw(units) for _ in totals.T]
    assert points_of(totals * factors) == pytest.approx(points_of(totals), rel=1e-6, abs=1e-6)


@given(tables(), st.data())
def test_labels_do_not_depend_on_units(totals: Totals, data: st.DataObject) -> None:
    """Powers of two, which round nothing, so that users halfway between two centers stay there."""
    factors = 2.0 ** np.array([data.draw(st.integers(-40, 40)) for _ in totals.T])
    for fit in ("users", "cells"):
        expected = cluster(totals, 3, scale=SCALE, fit=fit).labels.tolist()
        assert cluster(totals * factors, 3, scale=SCALE, fit=fit).labels.tolist() == expected


@given(tables(), st.data())
def test_points_do_not_depend_on_the_order_of_users_and_features(totals: Totals, data: st.DataObject) -> None:
    rows = data.draw(st.permutations(range(len(totals))))
    columns = data.draw(st.permutations(range(totals.shape[1])))
    expected = points_of(totals)[rows][:, columns]
    assert points_of(totals[rows][:, columns]) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("factor", [100, 0.001], ids=["cents", "thousands"])
@pytest.mark.parametrize("n_clusters", [3, 5, 8])
def test_customers_have_the_same_labels_in_any_currency(n_clusters: int, factor: float) -> None:
    totals = customers().totals
    labels = cluster(totals, n_clusters, scale=SCALE).labels
    assert (cluster(totals * [factor, 1], n_clusters, scale=SCALE).labels != labels).sum() == 0
    if factor < 1:
        logs = [cluster(each, n_clusters, scale="log").labels for each in (totals, totals * [factor, 1])]
        assert (logs[0] != logs[1]).mean() > 0.01, "else there is nothing to gain"


def test_an_age_is_one_in_any_unit_of_time() -> None:
    days = np.array([[19_000.0], [19_001], [19_007], [19_050], [19_400]])
    points = {per_day: fit_scaling(SCALE, days * per_day, None, [per_day]) for per_day in (1, DAY_MS)}
    as_days, as_ms = (scaling.points(days * per_day) for per_day, scaling in points.items())
    assert as_ms == pytest.approx(as_days)
    assert (np.diff(as_days[:, 0]) < 0).all(), "a newer point in time is a smaller age"
    assert points[DAY_MS].totals(as_ms) == pytest.approx(days * DAY_MS)


def test_points_by_hand() -> None:
    """The median size other than 0 counts as 10."""
    numbers = np.array([[0.0], [0], [0], [0], [0], [-4.0], [4], [9]])
    assert typical_size(numbers[:, 0]) == 4
    expected = np.array([0, 0, 0, 0, 0, -np.log(11), np.log(11), np.log(23.5)])
    expected = (expected - expected.mean()) / expected.std()
    assert points_of(numbers)[:, 0] == pytest.approx(expected)


@pytest.mark.parametrize("column", [[0.0, 0, 0], [7.0, 7, 7], [-7.0, -7, -7]])
def test_a_column_of_one_value_has_no_influence(column: list[float]) -> None:
    totals = np.column_stack((column, [1.0, 2, 300]))
    assert points_of(totals)[:, 0].tolist() == [0, 0, 0]
    assert fit_scaling(SCALE, totals).totals(points_of(totals)) == pytest.approx(totals)


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 5)), min_size=1))
def test_a_weight_counts_as_that_many_users(rows: list[tuple[int, int]]) -> None:
    totals, weights = np.array(rows, np.float64)[:, :1], np.array(rows)[:, 1]
    assert median(totals[:, 0], weights) == np.median(np.repeat(totals, weights))
    weighted = fit_scaling(SCALE, totals, weights)
    repeated = fit_scaling(SCALE, np.repeat(totals, weights, axis=0))
    assert weighted.points(totals) == pytest.approx(repeated.points(totals), rel=1e-6, abs=1e-6)


def test_shares_of_the_variance() -> None:
    points = np.array([[0.0, 7, 1], [2, 7, 5]])
    assert variance_shares(points).tolist() == [0.2, 0, 0.8]
    assert variance_shares(points, np.array([3, 0])).tolist() == [0, 0, 0]
    assert variance_shares(points_of(customers().totals)) == pytest.approx(np.array([0.5, 0.5]))


def before_1998() -> tuple[Totals, Totals]:
    """CDNOW's customers at the end of 1997: amount, purchases and days since the last one; and who buys again."""
    numbers, dates, dollars = np.loadtxt(cdnow_file(), skiprows=1, usecols=(0, 1, 3)).T
    days = np.array([date(int(day) // 10_000, int(day) // 100 % 100, int(day) % 100).toordinal() for day in dates])
    is_early = dates < 19_980_000
    known, at = np.unique(numbers[is_early], return_inverse=True)
    last = np.zeros(len(known))
    np.maximum.at(last, at, days[is_early])
    totals = np.column_stack((np.bincount(at, dollars[is_early]), np.bincount(at), last.max() - last))
    return totals, np.isin(known, numbers[~is_early]).astype(float)


def share_explained(labels: NDArray[np.int32], outcome: Totals) -> float:
    """The share of the variance of an outcome that labels explain."""
    means = np.bincount(labels, outcome) / np.bincount(labels)
    return float(1 - ((outcome - means[labels]) ** 2).sum() / ((outcome - outcome.mean()) ** 2).sum())


@pytest.mark.parametrize("n_clusters", [3, 5])
@pytest.mark.parametrize("n_features", [2, 3])
def test_labels_tell_as_much_of_who_buys_again_as_those_of_log1p(n_clusters: int, n_features: int) -> None:
    totals, buys_again = before_1998()
    totals = totals[:, :n_features]
    shares = [
        share_explained(fitted_kmeans(points, n_clusters, n_init=10, random_state=1).labels_, buys_again)
        for points in (points_of(totals), StandardScaler().fit_transform(scaled.signed_log(totals)))
    ]
    assert shares[0] >= shares[1]
    assert shares[0] > {2: 0.20, 3: 0.22}[n_features]
