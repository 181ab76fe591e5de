"""--dry-run and --explore-k: they print what a run would do, and write nothing."""

import re
from pathlib import Path
from typing import Any

import pytest

from classifier.config.settings import Settings
from classifier.errors import RestoreNeeded
from classifier.stop import StopRequest
from classifier.users import intake, output
from classifier.users.intake import UserIntake
from classifier.users.table import LabelledUsers
from tests.support.changelog import Change, Op, Placed, cut
from tests.support.world import BASE, INSERTS, ROWS, World, grouped


def preview(world: World, capsys: pytest.CaptureFixture[str], **given: object) -> list[str]:
    """The lines that --dry-run or --explore-k prints; without a producer it cannot write to Kafka."""
    world.settings = Settings(**{**vars(BASE), "until_end": False, **given})
    assert world.run() is None
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_dry_run_shows_what_a_run_writes(batch_size: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(batch_size=batch_size)
    first, second = cut(grouped(3, n_users=30), [25])
    world.write(first)
    world.run()
    world.write(second)
    commits, written = len(world.broker.history), len(world.broker.logs["out"][0])
    lines = preview(world, capsys, dry_run=True, batch_size=batch_size, label_names="low,middle,high")
    assert (len(world.broker.history), len(world.broker.logs["out"][0])) == (commits, written)
    world.settings = BASE
    world.run()
    rows = {line.split()[0]: line.split() for line in lines if re.match(r"u\d\d ", line)}
    labelling = world.labelling()
    assert list(rows) == sorted(labelling)[:20]
    names = ("low", "middle", "high")
    assert {user: [row[-2], row[-1]] for user, row in rows.items()} == {
        user: [str(labelling[user].label), names[labelling[user].label]] for user in rows
    }
    assert "... and 10 users more" in lines
    assert (
        lines[-1]
        == f"a run would change {len(world.broker.logs['out'][0]) - written} users of out; nothing was written"
    )


def test_a_dry_run_omits_deleted_users(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.write(INSERTS)
    world.run()
    world.write([Placed(0, Change(Op.DELETE, ROWS[0]))])
    lines = preview(world, capsys, dry_run=True)
    assert [line[:6] for line in lines if re.match(r"user \d ", line)] == [row.user_id for row in ROWS[1:]]


def test_a_dry_run_with_k_auto(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.write(grouped(4))
    lines = preview(world, capsys, dry_run=True, n_clusters="auto")
    assert {line.split()[-1] for line in lines if re.match(r"u\d\d ", line)} == {"0", "1", "2", "3"}


def test_numbers_of_clusters_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.write(grouped(4))
    picture = tmp_path / "explore.png"
    lines = preview(world, capsys, explore_k=True, plot=picture)
    assert lines[:2] == ["12 users", " k  silhouette     inertia"]
    assert [line.split()[0] for line in lines if line.endswith("best silhouette")] == ["4"]
    assert lines[-1] == f"drawn: {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert (world.broker.history, world.broker.logs["out"]) == ([], [[], []])


def test_numbers_of_clusters_are_compared_on_the_scale_of_the_fit(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.write(grouped(4))
    tables = {scale: preview(world, capsys, explore_k=True, scale=scale) for scale in ("none", "log")}
    assert tables["log"][0] == "12 users, scale log"
    assert tables["log"][2:] != tables["none"][2:]
    grouped_fit = preview(world, capsys, explore_k=True, scale="log", fit="cells")
    assert grouped_fit[0] == "12 users, scale log"
    assert [line.split()[:2] for line in grouped_fit[2:5]] == [line.split()[:2] for line in tables["log"][2:5]], (
        "both find the optimum"
    )


@pytest.mark.parametrize("fit", ["users", "cells"])
def test_a_dry_run_labels_on_the_scale_of_the_run(fit: str, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(scale="log", fit=fit)
    world.write(grouped(3, n_users=15))
    lines = preview(world, capsys, dry_run=True, scale="log", fit=fit)
    assert any(line.endswith("centre, scale log") for line in lines)
    world.settings = Settings(**{**vars(BASE), "scale": "log", "fit": fit})
    assert world.run() is None
    shown = {line.split()[0]: int(line.split()[-1]) for line in lines if re.match(r"u\d\d ", line)}
    assert shown == {user_id: row.label for user_id, row in world.labelling().items()}


def test_too_few_users_to_compare() -> None:
    world = World(explore_k=True)
    world.write(INSERTS[:2])
    ended = world.run()
    assert str(ended and ended.reason) == (
        "too few users to compare numbers of clusters, at least 3 are needed; give a number: -k 3"
    )


def test_a_preview_that_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(dry_run=True)

    def stopped(intake: UserIntake) -> None:
        world.stop.requested = True
        raise RestoreNeeded("stopped while looking for the records that cannot be read")

    monkeypatch.setattr(UserIntake, "gather", stopped)
    assert world.run() is None


@pytest.mark.parametrize(("commits", "refused"), [(1, False), (3, False), (1000, True)])
def test_a_preview_next_to_a_client_that_commits(
    commits: int, refused: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output is read before the offsets; a commit in between must not give a mixed state."""
    world = World(batch_size=1)
    world.write(INSERTS)
    world.run()
    read, left, rows = output.read_labels, iter(range(commits)), [INSERTS[0].change.row]

    def meanwhile(*given: Any, rebuild: bool) -> LabelledUsers:
        found = read(*given, rebuild=rebuild)
        if next(left, None) is not None:
            rows[0:0] = [rows[0]._replace(total_amount=rows[0].total_amount + 1)]
            world.write([Placed(0, Change(Op.UPDATE_BEFORE, rows[1])), Placed(0, Change(Op.UPDATE_AFTER, rows[0]))])
            with monkeypatch.context() as patch:
                patch.setattr(intake, "read_labels", read)
                world.settings = BASE
                world.run()
            world.stop = StopRequest()
        return found

    monkeypatch.setattr(intake, "read_labels", meanwhile)
    world.settings = Settings(**{**vars(BASE), "dry_run": True})
    ended = world.run()
    if refused:
        assert str(ended and ended.reason) == (
            "out is written to faster than it can be read; try again, or stop the running user_classifier first"
        )
    else:
        assert ended is None
        printed = capsys.readouterr().out
        assert printed.endswith("a run would change 0 users of out; nothing was written\n")
        assert re.search(rf"^user 1 +{rows[0].total_amount:.2f} ", printed, re.MULTILINE)
