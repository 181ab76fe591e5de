"""Groups of users (--fit cells): no user is lost, the table alone decides, and the grid is as coarse as possible."""

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.clustering import grouping
from classifier.clustering.grouping import COARSEST, MIN_GROUPS, Groups, assign_groups, coarsened, group_users
from tests.support.customers import customers

Totals = NDArray[np.float64]
N_USERS = 3 * MIN_GROUPS


def users(seed: int, n_users: int = N_USERS) -> Totals:
    """Users who spend very differently, some of whom were paid back more than they had paid."""
    rng = np.random.default_rng(seed)
    counts = rng.geometric(0.1, n_users)
    return np.column_stack((rng.lognormal(3, 1.5, n_users) * counts * rng.choice([1, 1, 1, -1], n_users), counts))


def equal(n_totals: int, step: float = 1.0, n_users: int = N_USERS) -> Totals:
    """Users of few distinct totals."""
    return np.column_stack((1e6 + step * (np.arange(n_users) % n_totals), np.ones(n_users)))


def on_a_grid(totals: Totals, resolution: float) -> dict[tuple[float, ...], list[tuple[float, ...]]]:
    """The users of each rectangle, one after the other."""
    found: dict[tuple[float, ...], list[tuple[float, ...]]] = {}
    for rectangle, row in zip(np.floor(resolution * np.sign(totals) * np.log1p(np.abs(totals))), totals, strict=True):
        found.setdefault(tuple(rectangle), []).append(tuple(row))
    return found


def on_the_coarsest_grid(totals: Totals) -> dict[tuple[float, ...], list[tuple[float, ...]]]:
    """The users of each rectangle, on the first grid with enough groups, or with groups of equal users only."""
    resolution = COARSEST
    while True:
        found = on_a_grid(totals, resolution)
        if len(found) >= MIN_GROUPS or all(len(set(rows)) == 1 for rows in found.values()):
            return found
        resolution *= 2


def in_order(found: Groups) -> NDArray[np.float64]:
    """Means and weights, whatever the order of the groups."""
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
def test_the_coarsest_grid_with_enough_groups(totals: Totals) -> None:
    expected = on_the_coarsest_grid(totals).values()
    means = [np.mean(rows, axis=0) for rows in expected]
    weights = [len(rows) for rows in expected]
    found = group_users(totals)
    assert in_order(found) == pytest.approx(in_order(Groups(np.array(means), np.array(weights))), rel=1e-12)


@pytest.mark.parametrize("totals", [users(4), customers().totals, equal(7)])
def test_no_user_is_lost(totals: Totals) -> None:
    means, weights = group_users(totals)
    assert weights.sum() == len(totals)
    assert weights.min() > 0
    assert weights @ means == pytest.approx(totals.sum(axis=0))
    assert len(weights) < len(totals) / 1.5, "some share a group"


def test_the_order_of_users_does_not_matter() -> None:
    totals = users(5)
    shuffled = np.random.default_rng(6).permutation(totals)
    assert in_order(group_users(shuffled)) == pytest.approx(in_order(group_users(totals)), rel=1e-12)


@pytest.mark.parametrize("n_users", [0, 1, MIN_GROUPS])
def test_few_users_are_a_group_each(n_users: int) -> None:
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
    ids=["cents on top of a million", "billionths", "all of them", "two of them far away"],
)
def test_close_totals_get_different_groups(totals: Totals) -> None:
    n_distinct = len(np.unique(totals, axis=0))
    n_groups = len(group_users(totals).weights)
    assert min(n_distinct, MIN_GROUPS) <= n_groups <= 2 * MIN_GROUPS


def test_no_grid_is_tried_without_need(monkeypatch: pytest.MonkeyPatch) -> None:
    def recorded(logarithms: Totals, resolution: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        tried.append(resolution)
        return assign_groups(logarithms, resolution)

    monkeypatch.setattr(grouping, "assign_groups", recorded)
    for totals in (equal(1), equal(7, step=1e6), users(8)):
        tried: list[float] = []
        group_users(totals)
        assert len(tried) == 1


def test_groups_of_a_large_grid_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = group_users(users(7))
    monkeypatch.setattr(grouping, "MAX_COUNTED", 0)
    with_sorting = group_users(users(7))
    assert (in_order(with_sorting) == in_order(counted)).all()


@pytest.mark.parametrize("block_rows", [1, 7, N_USERS - 1])
def test_blocks_give_the_same_groups_as_one_pass(block_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = group_users(users(7))
    monkeypatch.setattr(grouping, "BLOCK_ROWS", block_rows)
    blocks = group_users(users(7))
    assert (blocks.totals == whole.totals).all()
    assert (blocks.weights == whole.weights).all()


def test_only_too_many_groups_are_coarsened(monkeypatch: pytest.MonkeyPatch) -> None:
    many = Groups(users(7), np.arange(1, N_USERS + 1) / 8)
    assert coarsened(many) is many
    monkeypatch.setattr(grouping, "MAX_GROUPS", N_USERS - 1)
    found = coarsened(many)
    assert MIN_GROUPS <= len(found.weights) < N_USERS
    assert found.weights.sum() == pytest.approx(many.weights.sum())
    assert found.weights @ found.totals == pytest.approx(many.weights @ many.totals)
