"""`--cells` on a real broker: labels are those of one fit on the final counts, even after kills."""

import random
from collections import Counter
from pathlib import Path

import pytest

from classifier.cells import lattice
from tests.conftest import MakePipeline
from tests.support import cell_oracle, client, inside
from tests.support.cell_topics import Cells, random_totals
from tests.support.client import Client
from tests.support.waiting import wait_until

N_USERS = 3_000


@pytest.fixture
def cells(make_pipeline: MakePipeline) -> Cells:
    """Topics with users in three groups."""
    found = Cells(make_pipeline())
    found.write(cell_oracle.counted(random_totals(random.Random(1), N_USERS)))
    return found


def test_only_changed_labels_are_written(cells: Cells) -> None:
    finished = inside.run_to_end(cells.arguments())
    assert f"{cells.input}: labels of 0 cells restored from {cells.output}" in finished.output
    cells.assert_labels_are_those_of_one_fit()
    before = cells.written
    assert len(before) == len(dict(before)) == len(cell_oracle.lattice(cells.counts, lattice.REACH))
    inside.run_to_end(cells.arguments())
    assert cells.written == before, "the same labels are not written again"
    cells.move(random.Random(2), 400)
    inside.run_to_end(cells.arguments())
    cells.assert_labels_are_those_of_one_fit()
    new = Counter(cells.written) - Counter(before)
    assert all(dict(before).get(cell) != label for cell, label in new)
    assert new
    assert cells.topics.committed(cells.group) == {}, "no offsets"


def test_a_second_output_with_the_same_group(cells: Cells) -> None:
    """No offsets are committed, so the two have nothing in common but the input."""
    inside.run_to_end(cells.arguments())
    first, before = cells.output, cells.written
    cells.output = cells.new_output(f"{first}_second")
    inside.run_to_end(cells.arguments())
    assert sorted(cells.written) == sorted(before)
    cells.output = first
    inside.run_to_end(cells.arguments())
    assert cells.written == before


def test_labels_in_a_topic_that_was_given_partitions_are_refused(cells: Cells) -> None:
    """The old and the new label of a cell would be in two partitions."""
    inside.run_to_end(cells.arguments())
    same = f"ok      topic {cells.output}, partitions: as when its labels were written\n"
    assert same in inside.run(cells.arguments("--check")).stdout
    before = cells.written
    cells.topics.grow(cells.output, 8)
    cells.move(random.Random(3), 400)
    problem = (
        f"{cells.output} had 6 partitions when its labels were written, and has 8 now, so the old and the new label of"
        " a cell may lie in two; choose another output with -o, or recreate the topic\n"
    )
    refused = inside.run(cells.arguments("--until-end"))
    assert (refused.code, refused.stderr.endswith(problem)) == (1, True)
    assert cells.written == before
    checked = inside.run(cells.arguments("--check"))
    assert (checked.code, f"TO DO   topic {cells.output}, partitions: {problem}" in checked.stdout) == (1, True)


@pytest.mark.parametrize("at", ["init_transactions", "begin_transaction", "produce", "flush", "commit_transaction"])
def test_kills_at_each_call(cells: Cells, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """In the first and in a later part of a step; the next start writes the missing labels."""
    monkeypatch.setattr(
        "classifier.kafka.transaction_size.SHARE_OF_TIMEOUT", 1e-6
    )  # a thousand labels fill a transaction
    rng = random.Random(at)
    died = []
    for after in (0, 3):
        died.append(inside.run_and_die(cells.arguments(), at, after))
        cells.move(rng, 50)
    assert died == [True, at != "init_transactions"], "which is called once"
    inside.run_to_end(cells.arguments())
    cells.assert_labels_are_those_of_one_fit()


def test_kill_9_while_it_runs(cells: Cells, tmp_path: Path) -> None:
    """Three clients are killed as soon as they write; the last one ends."""
    rng = random.Random(7)
    for number in range(3):
        with Client(cells.arguments("--batch-interval", "0"), tmp_path / f"{number}.log") as running:
            before = sum(cells.topics.ends(cells.output).values())
            wait_until(
                lambda: sum(cells.topics.ends(cells.output).values()) > before or "records" in running.output,  # noqa: B023
                "the client to write",
            )
            cells.move(rng, 100)
    assert client.run(cells.arguments("--until-end")).code == 0
    cells.assert_labels_are_those_of_one_fit()


def test_counts_of_an_aborted_transaction_are_not_read(cells: Cells) -> None:
    """And the client reaches the end of the input after it."""
    cells.write({cell_oracle.cell_of(3.0, 3): 10_000}, commit=False)
    inside.run_to_end(cells.arguments())
    cells.assert_labels_are_those_of_one_fit()


def test_the_newer_client_takes_over(cells: Cells, tmp_path: Path) -> None:
    with Client(cells.arguments("--batch-interval", "0"), tmp_path / "older") as older:
        older.wait_for_output("changes, fit")
        with Client(cells.arguments("--batch-interval", "0"), tmp_path / "newer") as newer:
            newer.wait_for_output("changes, fit")
            cells.write({cell_oracle.cell_of(0.3, 1): 1, cell_oracle.cell_of(0.8, 1): 4_000})
            assert older.wait() == 1
            assert older.output.splitlines()[-1].endswith("was taken over by a newer user_classifier; this one stops")
            assert newer.stop() == 0, newer.output
    inside.run_to_end(cells.arguments())
    cells.assert_labels_are_those_of_one_fit()


def test_previews_and_check_write_nothing(cells: Cells, tmp_path: Path) -> None:
    check = client.run(cells.arguments("--check"))
    assert check.code == 0, check.output
    assert f"ok      subjects {cells.input}-key and {cells.input}-value: cell, num_users" in check.output
    assert f"ok      subjects {cells.output}-key and {cells.output}-value: cell, label" in check.output
    shown = inside.run(cells.arguments("--dry-run", "-k", "auto"))
    n_cells = len(cell_oracle.lattice(cells.counts, lattice.REACH))
    assert f"a run would change {n_cells} cells of {cells.output}; nothing was written" in shown.stdout
    assert f" all {N_USERS:,} 100.0%" in " ".join(shown.stdout.split())
    picture = tmp_path / "k.png"
    explored = inside.run(cells.arguments("--explore-k", "--plot", str(picture)))
    assert explored.stdout.startswith(f"{N_USERS:,} users")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert cells.written == []


def test_reports_count_users_and_not_cells(cells: Cells, tmp_path: Path) -> None:
    picture = tmp_path / "clusters.png"
    names = "--label-names", "low,middle,high"
    finished = inside.run_to_end(cells.arguments("--summary", "--plot", str(picture), *names, "--scale", "log"))
    assert f" records, {N_USERS} users, " in finished.output
    assert f" all {N_USERS:,} 100.0%" in " ".join(finished.output.split())
    assert picture.read_bytes().startswith(b"\x89PNG")
