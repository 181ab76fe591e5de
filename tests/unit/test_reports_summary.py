"""The table of labels, and the moves between them."""

import numpy as np
import pytest

from classifier.clustering.scaling import Scaling
from classifier.reports.step import Step
from classifier.reports.summary import SUMMARY_SECONDS, Summary, first_users, moves, summary_lines
from tests.support.steps import EMPTY, ManualClock, made_step, step_of

ROWS = [("ann", 98.0, 3, 0), ("bob", 102.5, 4, 0), ("cem", 608.8, 13, 1), ("dee", 2100.0, 36, 2)]
NAMES = ("stingy", "standard", "spendthrift")


def test_table_in_full() -> None:
    assert "\n".join(summary_lines(made_step(ROWS), NAMES)) == (
        """\
label                users    share      mean amount        total amount  mean transactions  centre
0 stingy                 2    50.0%           100.25              200.50                3.5  100.25 / 3.5
1 standard               1    25.0%           608.80              608.80               13.0  608.80 / 13.0
2 spendthrift            1    25.0%         2,100.00            2,100.00               36.0  2,100.00 / 36.0
all                      4   100.0%           727.33            2,909.30               14.0"""
    )


def test_a_label_without_users_and_no_users() -> None:
    step = made_step(ROWS[:3], 2)
    with_empty_label = step_of(step.user_ids, step.totals, step.labels, np.array([[1.0, 1], [2, 2], [3, 3]]))
    assert summary_lines(with_empty_label)[3].split() == ["2", "0", "0.0%", "-", "0.00", "-", "3.00", "/", "3.0"]
    assert [line.split()[:2] for line in summary_lines(EMPTY)] == [["label", "users"], ["all", "0"]]


@pytest.mark.parametrize("seed", range(10))
def test_moves_are_those_of_a_dictionary(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def some_users() -> dict[str, int]:
        chosen = np.flatnonzero(rng.random(200) < 0.8)
        return {f"user {i:03}": int(rng.integers(3)) for i in chosen.tolist()}

    before, after = some_users(), some_users()
    texts = moves(
        list(before), np.array(list(before.values()), np.int32), list(after), np.array(list(after.values()), np.int32)
    )
    for old in range(3):
        for new in range(3):
            n = sum(before.get(user_id) == old and label == new for user_id, label in after.items())
            assert (f"{n} users {old} -> {new}" in texts) is (old != new)
    assert f"{len(after.keys() - before.keys())} new" in texts
    assert f"{len(before.keys() - after.keys())} deleted" in texts


def test_the_most_frequent_moves_come_first() -> None:
    ids = [f"{i:04}" for i in range(100)]
    before = np.zeros(100, np.int32)
    after = np.repeat(np.arange(20, dtype=np.int32), 5)
    after[:60] = 1
    texts = moves(ids, before, ids, after).split(", ")
    assert texts == ["60 users 0 -> 1", *(f"5 users 0 -> {label}" for label in range(12, 20))]
    assert moves(ids, before, ids, before) == "no user moved"
    assert moves(["a"], before[:1], ["a"], before[:1] + 2) == "1 user 0 -> 2"


def test_moves_beyond_the_longest_list_are_summed() -> None:
    ids = [f"{i:04}" for i in range(30)]
    texts = moves(ids, np.full(30, 99, np.int32), ids, np.repeat(np.arange(15, dtype=np.int32), 2)).split(", ")
    assert len(texts) == 13
    assert texts[-1] == "6 users in other moves"


def test_a_summary_every_minute_with_the_moves_since_the_last_one() -> None:
    lines: list[str] = []
    clock = ManualClock()
    summary = Summary(lines.append, NAMES, clock)
    summary.step(made_step(ROWS))
    assert lines[5:] == [
        "share of the variance that K-means sees: total_amount >99.9%, num_transactions <0.1%",
        "the labels depend on total_amount nearly alone; to give each feature the same weight: --scale log-standard",
    ]
    assert not any("\n" in line for line in lines)
    moved = [ROWS[0], ("bob", 590.0, 12, 1), *ROWS[2:]]
    clock.now += SUMMARY_SECONDS - 1
    summary.step(made_step(moved))
    assert len(lines) == 7
    clock.now += 1
    summary.step(made_step([*moved, ("eve", 2200.0, 30, 2)]))
    assert lines[12:] == [lines[5], "since the last summary: 1 user 0 -> 1, 1 new"], "what to type is shown once"


def shown(*steps: Step) -> list[str]:
    """The lines after the table of the last of these steps, each of which is shown."""
    lines: list[str] = []
    clock = ManualClock()
    summary = Summary(lines.append, (), clock)
    for step in steps:
        lines.clear()
        summary.step(step)
        clock.now += SUMMARY_SECONDS
    return [line for line in lines[2 + len(steps[-1].centers) :] if not line.startswith("share of the variance")]


LOG = Scaling("log")
IDS = [f"{number:02}" for number in range(20)]
TOTALS = np.array([(10.0 if number < 11 else 1000.0, 2.0) for number in range(20)])
LABELS = (TOTALS[:, 0] > 10).astype(np.int32)
BEFORE = step_of(IDS, TOTALS, LABELS, np.array([[10.0, 2], [1000, 2]]), LOG)


def test_changed_clusters_are_reported() -> None:
    totals = TOTALS.copy()
    totals[15:, 0] = 200.0
    before = step_of(IDS, totals, LABELS, BEFORE.centers, LOG)
    others = step_of(IDS, totals, LABELS * (np.arange(20) < 15), np.array([[15.0, 2], [3000, 2.5]]), LOG)
    for step in (before, others):
        assert step.scaling.nearest(step.totals, step.centers).tolist() == step.labels.tolist()
    assert shown(before, others) == [
        "since the last summary: 5 users 1 -> 0",
        "the clusters have changed: with the previous centres, 5 users (25.0%) would have another label;"
        " centres: 0 from 10.00 / 2.0 to 15.00 / 2.0, 1 from 1,000.00 / 2.0 to 3,000.00 / 2.5",
    ]


def test_users_who_moved_are_no_change_of_the_clusters() -> None:
    """On the scale of the fit, 200 is nearer to 1,000 than to 10; in dollars it is nearer to 10."""
    spent = TOTALS.copy()
    spent[:10, 0] = 200.0
    moved = step_of(IDS, spent, (spent[:, 0] > 100).astype(np.int32), np.array([[10.0, 2], [500, 2]]), LOG)
    assert shown(BEFORE, moved) == ["since the last summary: 10 users 0 -> 1"]


@pytest.mark.parametrize("n_others", [0, 1])
def test_small_shifts_of_the_borders_are_no_change(n_others: int) -> None:
    ids, totals = [f"{number:03}" for number in range(100)], np.tile(TOTALS, (5, 1))
    labels = np.tile(LABELS, 5)
    later = labels.copy()
    later[: 4 + n_others] = 1
    steps = [step_of(ids, totals, each, BEFORE.centers, LOG) for each in (labels, later)]
    assert len(shown(*steps)) == 1 + n_others, "from 5 % of the users on"


def test_another_number_of_clusters_is_not_compared() -> None:
    fewer = step_of(IDS, TOTALS, LABELS * 0, BEFORE.centers[:1], LOG)
    assert shown(BEFORE, fewer) == ["since the last summary: 9 users 1 -> 0"]
    assert shown(EMPTY, BEFORE) == ["since the last summary: no user moved, 20 new"]


def test_the_table_names_the_scale() -> None:
    assert summary_lines(BEFORE)[0].endswith("  centre, scale log")
    assert [line.split("  ")[-1] for line in summary_lines(BEFORE)[1:3]] == ["10.00 / 2.0", "1,000.00 / 2.0"]


def test_first_users_in_full() -> None:
    rows = [("ann", 98.0, 3, 0), ("bob\n", 1234567.891, 4000, 2), ("cem", 1.0, 1, 1), ("dee", 2.0, 1, 1)]
    assert "\n".join(first_users(made_step(rows), NAMES, n=2)) == (
        """\
user_id        total_amount  num_transactions  label
ann                   98.00                 3  0 stingy
bob\\n          1,234,567.89             4,000  2 spendthrift
... and 2 users more"""
    )
    assert first_users(EMPTY) == ["user_id        total_amount  num_transactions  label"]
