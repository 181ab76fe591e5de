"""Users taken together: nobody is lost, the table alone decides, and cells are as coarse as they may be."""

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.clustering import grouping
from classifier.clustering.grouping import COARSEST, ENOUGH_GROUPS, Groups, assign_groups, coarsened, group_users
from tests.support.customers import customers

Totals = NDArray[np.float64]
N_USERS = 3 * ENOUGH_GROUPS


def users(seed: int, n_users: int = N_USERS) -> Totals:
    """Users who spend very differently, some of whom were paid back more than they had paid."""
    rng = np.random.default_rng(seed)
    counts = rng.geometric(0.1, n_users)
    return np.column_stack((rng.lognormal(3, 1.5, n_users) * counts * rng.choice([1, 1, 1, -1], n_users), counts))


def equal(n_totals: int, step: float = 1.0, n_users: int = N_USERS) -> Totals:
    """Users of few different totals."""
    return np.column_stack((1e6 + step * (np.arange(n_users) % n_totals), np.ones(n_users)))


def on_a_lattice(totals: Totals, fineness: float) -> dict[tuple[float, ...], list[tuple[float, ...]]]:
    """The users of each cell, one after the other."""
    found: dict[tuple[float, ...], list[tuple[float, ...]]] = {}
    for place, row in zip(np.floor(fineness * np.sign(totals) * np.log1p(np.abs(totals))), totals, strict=True):
        found.setdefault(tuple(place), []).append(tuple(row))
    return found


def on_the_coarsest_lattice(totals: Totals) -> dict[tuple[float, ...], list[tuple[float, ...]]]:
    """The users of each cell, where cells are enough or have only equal users."""
    fineness = COARSEST
    while True:
        found = on_a_lattice(totals, fineness)
        if len(found) >= ENOUGH_GROUPS or all(len(set(rows)) == 1 for rows in found.values()):
            return found
        fineness *= 2


def in_order(found: Groups) -> NDArray[np.float64]:
    """Means and weights, whatever the order of the cells."""
    rows = np.column_stack((found.totals, found.weights.astype(np.float64)))
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize(
    "totals",
    [
        *(users(seed) for seed in range(3)),
        customers().totals,
        equal(1),
        equal(7),
        equal(1500),
        np.column_stack((np.random.default_rng(1).uniform(0.001, 0.01, N_USERS), np.ones(N_USERS))),
        np.column_stack((1e6 * np.random.default_rng(2).uniform(0.99, 1.01, N_USERS), np.ones(N_USERS))),
    ],
    ids=["users", "users", "users", "CDNOW", "all equal", "7", "1500", "below 1", "around 1e6"],
)
def test_the_coarsest_lattice_that_parts_users_enough(totals: Totals) -> None:
    expected = on_the_coarsest_lattice(totals).values()
    means, weights = [np.mean(rows, axis=0) for rows in expected], [len(rows) for rows in expected]
    found = group_users(totals)
    assert in_order(found) == pytest.approx(in_order(Groups(np.array(means), np.array(weights))), rel=1e-12)


@pytest.mark.parametrize("totals", [users(4), customers().totals, equal(7)])
def test_nobody_is_lost(totals: Totals) -> None:
    means, weights = group_users(totals)
    assert weights.sum() == len(totals)
    assert weights.min() > 0
    assert weights @ means == pytest.approx(totals.sum(axis=0))
    assert len(weights) < len(totals) / 1.5, "some are taken together"


def test_the_order_of_users_does_not_matter() -> None:
    totals = users(5)
    shuffled = np.random.default_rng(6).permutation(totals)
    assert in_order(group_users(shuffled)) == pytest.approx(in_order(group_users(totals)), rel=1e-12)


@pytest.mark.parametrize("n_users", [0, 1, ENOUGH_GROUPS])
def test_a_few_users_are_each_a_cell(n_users: int) -> None:
    totals = equal(3, n_users=n_users)
    found = group_users(totals)
    assert found.totals is totals
    assert found.weights.tolist() == [1] * n_users


@pytest.mark.parametrize(
    "totals",
    [
        equal(100, step=0.01),
        equal(100, step=1e-9) - [1e6, 0],
        np.column_stack((np.linspace(1e-9, 1e-7, N_USERS), np.ones(N_USERS))),
        np.vstack((equal(100, step=1e-9) - [1e6, 0], [(1e150, 1.0), (-1e150, 2.0**53)])),
    ],
    ids=["cents beside a million", "billionths", "all of them", "and two far away"],
)
def test_totals_however_close_together_are_told_apart(totals: Totals) -> None:
    different = len(np.unique(totals, axis=0))
    n_cells = len(group_users(totals).weights)
    assert min(different, ENOUGH_GROUPS) <= n_cells <= 2 * ENOUGH_GROUPS


def test_no_finer_lattice_is_looked_at_than_there_is_use_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def noted(logarithms: Totals, fineness: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        looked_at.append(fineness)
        return assign_groups(logarithms, fineness)

    monkeypatch.setattr(grouping, "assign_groups", noted)
    for totals in (equal(1), equal(7, step=1e6), users(8)):
        looked_at: list[float] = []
        group_users(totals)
        assert len(looked_at) == 1


def test_cells_of_a_large_lattice_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = group_users(users(7))
    monkeypatch.setattr(grouping, "MAX_COUNTED", 0)
    sorted_out = group_users(users(7))
    assert (in_order(sorted_out) == in_order(counted)).all()


@pytest.mark.parametrize("at_once", [1, 7, N_USERS - 1])
def test_cells_in_parts_are_as_all_at_once(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = group_users(users(7))
    monkeypatch.setattr(grouping, "BLOCK_ROWS", at_once)
    parts = group_users(users(7))
    assert (parts.totals == whole.totals).all()
    assert (parts.weights == whole.weights).all()


def test_many_cells_are_taken_together_and_few_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    many = Groups(users(7), np.arange(1, N_USERS + 1) / 8)
    assert coarsened(many) is many
    monkeypatch.setattr(grouping, "MANY_GROUPS", N_USERS - 1)
    found = coarsened(many)
    assert ENOUGH_GROUPS <= len(found.weights) < N_USERS
    assert found.weights.sum() == pytest.approx(many.weights.sum())
    assert found.weights @ found.totals == pytest.approx(many.weights @ many.totals)
