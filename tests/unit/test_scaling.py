"""Totals as points and back, on each scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from classifier.clustering.scaling import Scaling, fit_scaling, scale_suffix
from classifier.config.settings import SCALES
from classifier.features import MAX_AMOUNT

Totals = NDArray[np.float64]
AMOUNTS = st.floats(-MAX_AMOUNT, MAX_AMOUNT)
TABLES = st.lists(st.tuples(AMOUNTS, st.integers(0, 2**53)), min_size=1, max_size=9)


@pytest.mark.parametrize("name", SCALES)
@given(rows=TABLES)
def test_points_are_finite_and_convert_back_to_the_totals(name: str, rows: list[tuple[float, int]]) -> None:
    totals = np.array(rows, np.float64)
    scale = fit_scaling(name, totals)
    points = scale.points(totals)
    assert np.isfinite(points).all()
    # Next to much larger totals in the same column, small ones are lost to rounding.
    rounding = 1e-12 * np.abs(totals).max(axis=0)
    assert (np.abs(scale.totals(points) - totals) <= np.maximum(rounding, 1e-9 * np.abs(totals))).all()


def test_without_a_scale_points_are_the_totals() -> None:
    totals = np.array([[1.0, 2], [3, 4]])
    assert fit_scaling("none", totals).points(totals) is totals
    assert fit_scaling("none", totals).totals(totals) is totals


def test_logarithms_by_hand() -> None:
    totals = np.array([[np.e - 1, 0], [np.e**2 - 1, 99]])
    points = fit_scaling("log", totals).points(totals)
    assert points == pytest.approx(np.array([[1, 0], [2, np.log(100)]]))


def test_refunds_are_scaled_by_their_size_and_keep_their_sign() -> None:
    spent = np.array([[0.004, 1], [17.0, 3], [1e9, 4]])
    scale = fit_scaling("log", spent)
    assert (scale.points(spent * [-1, 1]) == scale.points(spent) * [-1, 1]).all()
    assert (scale.points(spent) > 0).all()


def test_standard_by_hand() -> None:
    totals = np.array([[10.0, 7], [20, 7], [30, 7]])
    points = fit_scaling("standard", totals).points(totals)
    assert points == pytest.approx(np.array([[-np.sqrt(1.5), 0], [0, 0], [np.sqrt(1.5), 0]])), "7 is 0, not NaN"


def test_a_weight_counts_as_that_many_users() -> None:
    totals = np.array([[10.0, 1], [20, 5], [90, 2]])
    weights = np.array([3, 1, 4])
    weighted = fit_scaling("standard", totals, weights)
    repeated = fit_scaling("standard", np.repeat(totals, weights, axis=0))
    assert weighted.points(totals) == pytest.approx(repeated.points(totals))
    assert weighted.points(totals) != pytest.approx(fit_scaling("standard", totals).points(totals))


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("totals", [np.empty((0, 2)), np.array([[3.5, 1]])], ids=["no users", "one user"])
def test_no_users_and_one_user(name: str, totals: Totals) -> None:
    scale = fit_scaling(name, totals)
    assert scale.name == name
    assert scale.totals(scale.points(totals)) == pytest.approx(totals)


def test_the_nearest_centre_depends_on_the_scale() -> None:
    centers = np.array([[10.0, 1], [1000, 1]])
    totals = np.array([[10.0, 1], [200, 1], [1000, 1]])
    nearest = {name: fit_scaling(name, totals).nearest(totals, centers).tolist() for name in ("none", "log")}
    assert nearest == {"none": [0, 0, 1], "log": [0, 1, 1]}


def test_the_nearest_centre_on_a_scale_fitted_earlier() -> None:
    before = fit_scaling("standard", np.array([[0.0, 0], [1000, 1]]))
    totals = np.array([[400.0, 1]])
    centers = np.array([[400.0, 0], [800.0, 1]])
    assert before.nearest(totals, centers).tolist() == [1]
    assert Scaling().nearest(totals, centers).tolist() == [0]


def test_how_a_scale_is_shown() -> None:
    assert [scale_suffix(name) for name in SCALES] == ["", ", scale standard", ", scale log", ", scale log-standard"]
