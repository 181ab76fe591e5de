"""Users with equal totals: one warning, and -k auto does not choose a clustering that separates nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.clustering.compare_k import (
    Fit,
    best_separating,
    comparison_lines,
    equal_users_note,
    omitted_note,
    score_each,
)
from classifier.clustering.model import n_distinct
from classifier.clustering.number_of_clusters import NumberOfClusters
from classifier.config.settings import Settings
from classifier.reports import elbow
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.world import BASE, World
from user_classifier import cluster

Totals = NDArray[np.float64]


def equal(n_totals: int, n_users: int = 10) -> Totals:
    """Users of few distinct totals."""
    return np.array([(100.0 * (number % n_totals), 1.0) for number in range(n_users)])


def rows(totals: Totals) -> list[Placed]:
    """Inserts of these users."""
    found = [Row(f"u{number:02}", amount, int(count)) for number, (amount, count) in enumerate(totals.tolist())]
    return [Placed(0, Change(Op.INSERT, row)) for row in found]


def world_of(totals: Totals, **given: Any) -> World:
    """A world with these users."""
    world = World(**given)
    world.write(rows(totals))
    return world


def labels(world: World) -> set[int]:
    """The labels in the output."""
    return {row.label for row in world.labelling().values()}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings that were logged."""
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("n_users", [1, 10, 999, 1000, 1001, 5000])
@pytest.mark.parametrize("n_totals", [1, 2, 3, 9])
def test_distinct_totals_are_counted(n_users: int, n_totals: int) -> None:
    totals = equal(n_totals, n_users)
    for at_most in (1, 2, 3, 10):
        assert n_distinct(totals, at_most) == min(len(np.unique(totals, axis=0)), at_most)


def test_a_difference_late_or_in_the_count_alone_is_counted() -> None:
    late = np.vstack((equal(1, 3000), [(0.0, 2.0)]))
    assert n_distinct(late, 10) == 2
    assert n_distinct(np.empty((0, 2)), 10) == 0


WARNING = (
    "10 users with 2 distinct totals, fewer than the 3 clusters: users with equal totals get different labels;"
    " choose fewer clusters: -k 2"
)


def test_more_clusters_than_distinct_totals_gives_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    world = world_of(equal(2), batch_size=5)
    assert world.run() is None
    assert warnings(caplog) == [WARNING.replace("10 users", "5 users")]


@pytest.mark.parametrize("totals", [equal(3), equal(1, 2), equal(10)])
def test_no_warning_without_equal_users(totals: Totals, caplog: pytest.LogCaptureFixture) -> None:
    assert world_of(totals).run() is None
    assert warnings(caplog) == []
    assert equal_users_note(totals, 3, one_hot=True) is None


def test_a_dry_run_prints_the_warning(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    assert world_of(equal(2), dry_run=True).run() is None
    assert WARNING in capsys.readouterr().out.splitlines()
    assert warnings(caplog) == [], "once"


def test_a_dry_run_on_a_scale_prints_that_labels_stay_unused(capsys: pytest.CaptureFixture[str]) -> None:
    assert world_of(equal(2), dry_run=True, scale="log").run() is None
    expected = WARNING.replace("users with equal totals get different labels", "the other labels stay unused")
    assert expected in capsys.readouterr().out.splitlines()


def test_a_comparison_omits_numbers_that_would_split_equal_users(capsys: pytest.CaptureFixture[str]) -> None:
    assert world_of(equal(3), explore_k=True).run() is None
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["2", "3"]
    assert lines[4] == "3 distinct totals: more clusters would split users with equal totals"


def test_a_comparison_of_equal_users_is_refused() -> None:
    ended = world_of(equal(1), explore_k=True).run()
    assert str(ended and ended.reason) == "10 users with equal totals: no number of clusters separates them"


@pytest.mark.parametrize(("n_totals", "numbers"), [(1, []), (2, [2]), (4, [2, 3, 4]), (20, list(range(2, 11)))])
def test_no_more_clusters_than_distinct_totals_are_compared(n_totals: int, numbers: list[int]) -> None:
    totals = equal(n_totals, 30)
    assert [fit.n_clusters for fit in score_each(totals, cluster)] == numbers
    assert (omitted_note(totals) is None) is (n_totals > 9)


def test_two_distinct_totals_are_two_clusters() -> None:
    world = world_of(equal(2), n_clusters="auto")
    assert world.run() is None
    assert labels(world) == {0, 1}


def test_k_auto_chooses_once_something_separates_users(caplog: pytest.LogCaptureFixture) -> None:
    world = world_of(equal(1), n_clusters="auto", label_names="low,high")
    for _ in range(2):
        assert world.run() is None
        assert labels(world) == {0}
    assert (
        warnings(caplog)
        == ["-k auto: 10 users: no number of clusters separates them; all get label 0 until one does"] * 2
    ), "once a run"
    assert all(" k=" not in str(each.metadata) for each in world.broker.history)
    world.write([Placed(0, Change(Op.INSERT, Row("x", 900.0, 9))), Placed(0, Change(Op.INSERT, Row("y", 900.0, 9)))])
    assert world.run() is None
    assert labels(world) == {0, 1}


SEPARATE_NOTHING = [Fit(2, 0.0004, 9.0), Fit(3, -0.2, 8.0), Fit(4, float("nan"), 8.0)]


def test_a_clustering_that_separates_nothing_is_not_chosen(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(NumberOfClusters, "compare", lambda *_: SEPARATE_NOTHING)
    world = world_of(equal(4), n_clusters="auto")
    assert world.run() is None
    assert (labels(world), len(warnings(caplog))) == ({0}, 1)


def test_a_choice_that_is_not_possible_gives_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    number = NumberOfClusters(Settings(**{**vars(BASE), "n_clusters": "auto"}), cluster, lambda: True)
    for _ in range(3):
        assert number.choose(equal(1))
        assert (number.value, number.to_fit, number.to_keep) == (None, 1, None)
    assert len(warnings(caplog)) == 1


def test_the_choice_is_the_best_fit_that_separates() -> None:
    assert best_separating([]) is None
    assert best_separating(SEPARATE_NOTHING) is None
    assert best_separating([*SEPARATE_NOTHING, better := Fit(5, 0.0006, 7.0)]) == better


def test_a_fit_that_separates_nothing_is_not_marked_as_best(tmp_path: Path) -> None:
    lines = comparison_lines(SEPARATE_NOTHING, 10)
    assert not any("best" in line for line in lines)
    assert lines[-1] == "no number of clusters separates them"
    figure = elbow.draw(SEPARATE_NOTHING, 10)
    assert figure.get_suptitle() == "10 users; no number of clusters separates them"
    assert [len(axes.lines) for axes in figure.axes] == [1, 1]


def test_a_dry_run_of_equal_users_with_k_auto(capsys: pytest.CaptureFixture[str]) -> None:
    world = world_of(equal(1), n_clusters="auto", dry_run=True, label_names="low,high")
    assert world.run() is None
    assert "a run would change 10 users of out; nothing was written" in capsys.readouterr().out


def test_users_who_become_equal(caplog: pytest.LogCaptureFixture) -> None:
    world = world_of(equal(4), n_clusters=2)
    world.run()
    deletes = [Placed(0, Change(Op.DELETE, row)) for _, (_, row) in rows(equal(4)) if row.total_amount > 0]
    world.write(deletes)
    world.run()
    assert warnings(caplog) == [
        "3 users with 1 distinct total, fewer than the 2 clusters: users with equal totals get different labels;"
        " choose fewer clusters: -k 1"
    ]
