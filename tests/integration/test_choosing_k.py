"""-k auto, --explore-k and --dry-run on a real broker."""

import re
import signal
from pathlib import Path
from typing import Any

import pytest

from classifier import __version__
from tests.support import client, inside, oracle
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.client import Client, Finished
from tests.support.marks import without_row_parts
from tests.support.pipeline import MARK, Pipeline

PREVIEWS = ["--explore-k", "--dry-run"]


def grouped(n_groups: int, n_users: int, start: int = 0) -> list[Placed]:
    """New users in distant groups."""
    rows = [
        Row(f"user {i:05}", 1000.0 * (i % n_groups + 1) + i % 97, 1 + i % n_groups)
        for i in range(start, start + n_users)
    ]
    return [Placed(0, Change(Op.INSERT, row)) for row in rows]


def state(pipeline: Pipeline) -> tuple[Any, ...]:
    """Everything that a run changes."""
    subjects = [pipeline.subjects.exists(f"{pipeline.output}-{part}") for part in ("key", "value")]
    ends = pipeline.topics.ends(pipeline.output)  # markers of transactions count, too
    return pipeline.topics.read(pipeline.output), ends, pipeline.topics.commit_history(pipeline.group), subjects


def metadata(pipeline: Pipeline) -> set[str]:
    """The metadata of the committed offsets, without topic ids."""
    ids = f" input={pipeline.topics.topic_id(pipeline.source)} output={pipeline.topics.topic_id(pipeline.output)}"
    found = {without_row_parts(commit.metadata) for commit in pipeline.topics.committed(pipeline.group).values()}
    assert all(each.endswith(ids) for each in found)
    return {each.removesuffix(ids) for each in found}


def test_auto_over_a_restart(pipeline: Pipeline) -> None:
    first = grouped(4, 40)
    second = grouped(2, 200, start=40)
    pipeline.write(first)
    chosen = inside.run_to_end(pipeline.arguments("-k", "auto"))
    assert "-k auto: 4 clusters; kept until -k is a number\n" in chosen.stderr
    assert " 4       0." in chosen.stderr
    assert metadata(pipeline) == {f"{MARK}40 k=4 by={__version__}"}
    pipeline.write(second)
    again = inside.run_to_end(pipeline.arguments("-k", "auto"))
    assert "-k auto: 4 clusters, chosen at an earlier start\n" in again.stderr
    assert "silhouette" not in again.stderr
    assert pipeline.labelling() == oracle.labelled((change for _, change in first + second), 4)
    assert metadata(pipeline) == {f"{MARK}240 k=4 by={__version__}"}
    inside.run_to_end(pipeline.arguments("-k", "3"))
    assert metadata(pipeline) == {f"{MARK}240 by={__version__}"}
    pipeline.assert_offsets_sound()


def test_a_choice_holds_for_its_scale(pipeline: Pipeline) -> None:
    """Groups of 3 by their amounts, of 4 by the powers of ten of these."""
    amounts = [10.0**power * (1 + 0.01 * user) for power in (1, 2, 3, 4) for user in range(10)]
    rows = [Row(f"user {at:02}", amount, 1) for at, amount in enumerate(amounts)]
    pipeline.write(Placed(0, Change(Op.INSERT, row)) for row in rows)
    logs = [
        inside.run_to_end(pipeline.arguments("-k", "auto", *options)).stderr
        for options in (("--scale", "log"), ("--scale", "log", "--fit", "cells"), (), ())
    ]
    assert "40 users, scale log\n" in logs[0]
    assert "-k auto: 4 clusters; kept until -k is a number\n" in logs[0]
    assert "-k auto: 4 clusters, chosen at an earlier start\n" in logs[1]
    assert "4 clusters were chosen with --scale log; choosing again with --scale none\n" in logs[2]
    assert "-k auto: 3 clusters; kept until -k is a number\n" in logs[2]
    assert "-k auto: 3 clusters, chosen at an earlier start\n" in logs[3]
    assert metadata(pipeline) == {f"{MARK}40 k=3 by={__version__}"}
    assert {row.label for row in pipeline.labelling().values()} == {0, 1, 2}


def test_names_that_do_not_fit_the_choice(pipeline: Pipeline) -> None:
    pipeline.write(grouped(4, 40))
    finished = inside.run(pipeline.arguments("-k", "auto", "--label-names", "low,high"))
    assert finished.code == 2
    assert finished.stderr.splitlines()[-1] == (
        "user_classifier.py: error: -k auto has chosen 4, but --label-names: 4 clusters need 4 names, separated by"
        " commas, got 2: 'low,high'; or set it yourself: -k 2"
    )
    assert pipeline.offsets() == {}


@pytest.mark.parametrize(
    ("options", "sent"), [((), signal.SIGINT), (("--scale", "log", "--fit", "cells"), signal.SIGTERM)]
)
def test_a_stop_while_choosing(
    options: tuple[str, ...], sent: signal.Signals, pipeline: Pipeline, tmp_path: Path
) -> None:
    """So many users are compared in a separate process for some seconds; Ctrl-C must end both."""
    pipeline.write(grouped(3, 30_000))
    with Client(pipeline.arguments("-k", "auto", *options), tmp_path / "log") as running:
        running.wait_for_output("comparing 2 to 10 clusters of 30,000 users")
        assert running.stop(sent) == 0
        assert "Traceback" not in running.output
        assert running.output.splitlines()[-1].endswith(
            " INFO stopped before -k auto could choose; the next start reads again what is not committed"
        )
    assert pipeline.offsets() == {}
    assert pipeline.topics.read(pipeline.output) == []


@pytest.mark.parametrize("option", PREVIEWS)
@pytest.mark.parametrize("after_a_run", [False, True])
def test_a_preview_changes_nothing(option: str, after_a_run: bool, pipeline: Pipeline, tmp_path: Path) -> None:
    first = grouped(3, 30)
    second = grouped(3, 10, start=30)
    pipeline.write(first)
    if after_a_run:
        inside.run_to_end(pipeline.arguments())
    pipeline.write(second)
    before = state(pipeline)
    picture = tmp_path / "k.png"
    finished = inside.run(pipeline.arguments(option, "--plot", str(picture)))
    assert finished.code == 0, finished.output
    assert state(pipeline) == before
    assert picture.read_bytes().startswith(b"\x89PNG")
    if option == "--explore-k":
        assert re.search(r"^ 3 .*  best silhouette$", finished.stdout, re.MULTILINE)
        assert finished.stdout.endswith(f"drawn: {picture}\n")
    else:
        assert_shown(finished, oracle.labelled(change for _, change in first + second))
        n_changes = 10 if after_a_run else 40
        assert f"a run would change {n_changes} users of {pipeline.output}; nothing was written" in finished.stdout


def assert_shown(finished: Finished, labelling: dict[str, oracle.Labelled]) -> None:
    """The first twenty users are shown with their labels."""
    shown = dict(re.findall(r"^(user \d+) .* (\d)$", finished.stdout, re.MULTILINE))
    assert shown == {user_id: str(labelling[user_id].label) for user_id in sorted(labelling)[:20]}
    assert f"... and {len(labelling) - 20} users more" in finished.stdout


def test_a_preview_next_to_a_running_client(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.write(grouped(3, 30))
    with Client(pipeline.arguments(), tmp_path / "log") as running:
        running.wait_for_output(" changes, fit ")
        finished = client.run(pipeline.arguments("--dry-run"))
        assert (finished.code, finished.stdout.splitlines()[-1]) == (
            0,
            f"a run would change 0 users of {pipeline.output}; nothing was written",
        )
        assert running.running, "it is not taken over"
        assert running.stop() == 0
