"""-k auto: chosen once from the whole table, and kept until -k is a number."""

import itertools
import re
from typing import Any

import pytest

from classifier.clustering import grouping, number_of_clusters
from classifier.clustering.compare_k import compare
from classifier.clustering.number_of_clusters import NumberOfClusters
from classifier.config.settings import Settings
from classifier.errors import ConfigError
from tests.support import oracle
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.world import BASE, World, aborts, grouped


def auto(world: World, **given: object) -> World:
    """The same world, its client with -k auto."""
    world.settings = Settings(**{**vars(BASE), "n_clusters": "auto", **given})
    return world


def ks(world: World) -> list[str]:
    """The numbers of clusters in the marks, oldest first, without repetitions."""
    found = (re.search(r" k=(\d+)", str(each.metadata)) for each in world.broker.history)
    return [k for k, _ in itertools.groupby(match[1] if match else "" for match in found)]


@pytest.mark.parametrize("n_groups", [2, 4, 5])
def test_k_auto_takes_the_best(n_groups: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = auto(World(), batch_size=2)
    placed = grouped(n_groups)
    world.write(placed)
    assert world.run() is None
    assert ks(world) == [str(n_groups)]
    assert len(world.broker.history) == 1, "one step, at the end, whatever the size of a batch"
    assert world.labelling() == oracle.labelled((change for _, change in placed), n_groups)
    messages = [record.getMessage() for record in caplog.records]
    assert " k  silhouette     inertia" in messages
    assert f"-k auto: {n_groups} clusters; kept until -k is a number" in messages


def test_k_auto_is_kept_until_k_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    world = auto(World())
    first, second = grouped(4), grouped(2, n_users=60)[12:]
    world.write(first)
    world.run()
    with monkeypatch.context() as patch:
        patch.setattr(NumberOfClusters, "compare", lambda *_: pytest.fail("compared again"))
        world.write(second)
        assert world.run() is None
    assert world.labelling() == oracle.labelled((change for _, change in first + second), 4)
    world.settings = Settings(**{**vars(BASE), "n_clusters": 3})
    world.write([Placed(0, Change(Op.INSERT, Row("x", 1.0, 1)))])
    world.run()
    assert ks(world) == ["4", ""]
    auto(world).write([Placed(0, Change(Op.INSERT, Row("y", 1.0, 1)))])
    world.run()
    assert len(ks(world)) == 3, "chosen again, as no choice is kept"


def test_a_choice_holds_for_its_scale(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = auto(World(), scale="log")
    world.write(grouped(4))
    marks: list[str] = []
    for scale in ("log", "log", "none", "standard"):
        auto(world, scale=scale).write([Placed(0, Change(Op.INSERT, Row(f"x{len(marks)}", 1.0, 1)))])
        caplog.clear()
        assert world.run() is None
        marks.append(str(world.broker.history[-1].metadata))
        if scale == "none":
            assert f"{chosen_on('log', marks)} choosing again with --scale none" in caplog.messages
        if scale == "standard":
            assert f"{chosen_on('none', marks)} choosing again with --scale standard" in caplog.messages
        assert any("silhouette" in line for line in caplog.messages) is (len(marks) != 2)
        assert any(line.endswith("clusters, chosen at an earlier start") for line in caplog.messages) is (
            len(marks) == 2
        )
    assert [re.findall(r" k=\d+(?: scale=(\w+))?", mark) for mark in marks] == [["log"], ["log"], [""], ["standard"]]


def chosen_on(scale: str, marks: list[str]) -> str:
    """The beginning of the log line about the number in the mark before the last one."""
    k = re.findall(r" k=(\d+)", marks[-2])
    return f"-k auto: {k[0]} clusters were chosen with --scale {scale};"


def test_the_table_of_a_choice_names_the_scale(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = auto(World(), scale="log")
    world.write(grouped(4))
    assert world.run() is None
    assert "12 users, scale log" in caplog.messages


def test_groups_are_compared_with_the_number_of_their_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """With so many groups that it matters."""
    monkeypatch.setattr(grouping, "MIN_GROUPS", 4)
    compared = []

    def recorded(totals: Any, cluster: Any, go_on: Any, weights: Any) -> Any:
        compared.append((len(totals), weights.sum()))
        return compare(totals, cluster, go_on, weights)

    monkeypatch.setattr(number_of_clusters, "compare", recorded)
    world = auto(World(), fit="cells")
    world.write(grouped(4, n_users=120))
    assert world.run() is None
    ((n_groups, n_users),) = compared
    assert (n_groups < 60, n_users) == (True, 120)
    assert ks(world) == ["4"]
    assert {row.label for row in world.labelling().values()} == {0, 1, 2, 3}


def test_k_auto_is_kept_over_an_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    world = auto(World())
    world.write(grouped(4))
    compared = 0
    compare = NumberOfClusters.compare

    def counted(number: NumberOfClusters, *users: Any) -> object:
        nonlocal compared
        compared += 1
        return compare(number, *users)

    monkeypatch.setattr(NumberOfClusters, "compare", counted)
    assert world.run({"commit_transaction": [aborts]}) is None
    assert (compared, ks(world)) == (1, ["4"])


def test_a_rebuild_chooses_again() -> None:
    world = auto(World())
    world.write(grouped(4))
    world.run()
    world.broker.logs["in"][0].clear()
    world.write(grouped(2))
    auto(world, rebuild=True)
    assert world.run() is None
    assert ks(world) == ["4", "2"]


def test_k_auto_needs_three_users() -> None:
    world = auto(World())
    placed = grouped(2, n_users=5)
    for piece in (placed[:2], placed[2:]):
        world.write(piece)
        assert world.run() is None
    assert ks(world)[0] == ""
    assert ks(world)[-1] in {"2", "3", "4"}
    assert len(world.labelling()) == 5


def test_a_stop_before_the_choice_commits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = auto(World(), until_end=False)
    world.write(grouped(4))

    def stopped(number: NumberOfClusters, *users: Any) -> list[object]:
        world.stop.requested = True
        return []

    monkeypatch.setattr(NumberOfClusters, "compare", stopped)
    assert world.run() is None
    assert world.broker.history == []
    assert world.labelling() == {}


@pytest.mark.parametrize("again", [False, True])
def test_names_must_be_as_many_as_the_clusters_chosen(again: bool) -> None:
    world = auto(World(), label_names=None if again else "low,high")
    world.write(grouped(4))
    world.run()
    auto(world, label_names="low,high")
    ended = world.run()
    assert isinstance(ended and ended.reason, ConfigError)
    assert str(ended and ended.reason) == (
        "-k auto has chosen 4, but --label-names: 4 clusters need 4 names, separated by commas, got 2: 'low,high';"
        " or set it yourself: -k 2"
    )
