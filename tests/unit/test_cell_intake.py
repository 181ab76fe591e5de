"""--cells on Kafka in memory: whatever happens on the way, the labels are those of one fit on the counts at the end."""

import itertools
import logging
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from classifier.cells import intake, lattice
from classifier.cells.headers import choice_in, output_headers, partitions_in
from classifier.cells.intake import users_at_borders
from classifier.cells.lattice import Numbers, Totals, cells_at
from classifier.clustering.number_of_clusters import Chosen
from classifier.clustering.scaling import fit_scaling
from classifier.config.settings import SCALES
from classifier.errors import ProducerFenced, RecordError, SchemaError, StateError
from classifier.kafka import source
from tests.support import cell_oracle
from tests.support.cell_records import CELLS_KEY, LABELS_VALUE, count_record
from tests.support.cell_world import IDS, CellWorld
from tests.support.fakes import FakeMessage, failure
from tests.support.memory import registry_of
from tests.support.wire import body, frame
from tests.support.world import aborts, accidents, dies, smallest_parts
from user_classifier import cluster

GROUPS = [(0.05, 1), (0.4, 1), (1.2, 1)]
"""Totals far apart as cells go, and so small that there are few cells up to them."""
A, B, C = (cell_oracle.cell_of(*totals) for totals in GROUPS)
THREE = {A: 30, B: 20, C: 10, A + 1000: 5, B + 2000: 4}
SPREAD_OUT = {cell + 1000 * column: 8 - column for cell in (A, B, C) for column in range(8)}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Labels of no more cells than the largest totals span, and several transactions for these."""
    monkeypatch.setattr(lattice, "REACH", 1.0)
    monkeypatch.setattr(intake, "CELLS_PER_DECODE", 1_000)
    monkeypatch.setattr(source, "LABELS_PER_DECODE", 1_000)
    with smallest_parts(500):
        yield


def expected(world: CellWorld, n_clusters: int = 3) -> dict[int, int]:
    """One fit on the counts."""
    return cell_oracle.labels(world.counts, n_clusters, lattice.REACH)


def test_labels_are_those_of_one_fit() -> None:
    world = CellWorld(partitions=2)
    world.write(THREE)
    assert world.run() is None
    assert world.labels() == expected(world)
    assert [world.labels()[cell] for cell in (A, B, C)] == [0, 1, 2]
    assert len(world.written) == len(expected(world)), "each once"
    assert world.broker.history == [], "no offsets"


def test_the_same_counts_again_write_nothing() -> None:
    world = CellWorld()
    world.write(THREE)
    world.run()
    before = world.written
    world.write(THREE)
    assert world.run() is None
    assert world.written == before


def test_the_newest_count_of_a_cell_in_two_partitions_is_used() -> None:
    """As after partitions were added to the input; whatever is read last."""
    world = CellWorld(partitions=2)
    world.write(THREE)
    for partition, n, time in ((1, 500, 30), (0, 20, 20)):
        key, value = count_record(IDS, B, n)
        world.broker.append("in", partition, value, [], key, time)
    world.counts[B] = 500
    for _ in range(5):
        assert world.run() is None
        assert world.labels() == expected(world)


def test_labels_without_the_number_of_partitions_are_continued() -> None:
    """As earlier versions wrote them; the next step writes the number."""
    world = CellWorld()
    world.write(THREE)
    world.run()
    for log in world.broker.logs["out"]:
        log[:] = [FakeMessage(("out", 0, at), each.value(), None, each.key()) for at, each in enumerate(log)]
    n_before = len(world.written)
    assert world.run() is None
    assert world.written[n_before:] == [] or {cell for cell, _ in world.written[n_before:]} == {0}
    assert sum(partitions_in(each.headers()) == 2 for log in world.broker.logs["out"] for each in log) == 1
    world.broker.logs["out"].append([])
    ended = world.run()
    assert str(ended and ended.reason).startswith("out had 2 partitions when its labels were written, and has 3 now")


def test_only_labels_that_change_are_written() -> None:
    world = CellWorld()
    world.write(THREE)
    world.run()
    before, n_before = world.labels(), len(world.written)
    world.write({A: 3, B: 0, B + 2000: 0, A + 3000: 400})
    world.run()
    now = expected(world)
    assert world.labels() == now
    assert dict(world.written) == {**before, **now}
    assert len(world.written) - n_before == sum(label != before.get(cell) for cell, label in now.items()) > 0


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_after_any_accidents_the_labels_are_as_the_oracle_expects(data: st.DataObject) -> None:
    """Counts in any order; crashes, aborts, retriable errors and stops anywhere."""
    world = CellWorld(partitions=3)
    cells = st.sampled_from([A, B, C, A + 1000, B + 2000, C - 1000])
    for _ in range(data.draw(st.integers(1, 3))):
        for cell, n in data.draw(st.lists(st.tuples(cells, st.integers(0, 50)), max_size=8)):
            world.write({cell: n})
        world.run(data.draw(accidents(world)))  # type: ignore[arg-type]  # which needs its `stop` alone
    world.write({A: 31, B: 21, C: 11})
    while world.run() or world.stop.requested:
        pass
    now = expected(world)
    assert {cell: label for cell, label in world.labels().items() if cell in now} == now


@pytest.mark.parametrize("place", ["begin_transaction", "produce", "commit_transaction"])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_after_a_crash_in_any_part_the_next_start_writes_the_difference(place: str, after: int) -> None:
    world = CellWorld()
    world.write(THREE)
    assert world.run({place: [*[None] * after, dies]}) is not None
    assert world.labels() != expected(world)
    assert world.run() is None
    assert world.labels() == expected(world)
    assert len(world.written) == len(expected(world)), "each once"


def test_an_aborted_transaction_is_repeated() -> None:
    world = CellWorld()
    world.write(THREE)
    assert world.run({"commit_transaction": [None, aborts]}) is None
    assert world.labels() == expected(world)


def test_a_fenced_client_stops() -> None:
    world = CellWorld()
    world.write(THREE)

    def fenced() -> None:
        from confluent_kafka import KafkaError

        raise failure(KafkaError._FENCED, fatal=True)

    ended = world.run({"commit_transaction": [fenced]})
    assert isinstance(ended and ended.reason, ProducerFenced)


def test_fewer_users_than_clusters_are_all_0() -> None:
    world = CellWorld()
    world.write({A: 1, C: 1})
    world.run()
    assert set(world.labels().values()) == {0}
    assert world.labels() == expected(world)


def test_no_users_at_all() -> None:
    world = CellWorld()
    assert world.run() is None
    assert world.written == []
    world.write({A: 5})
    world.write({A: 0})
    assert world.run() is None
    assert world.written == []


def test_fewer_cells_than_clusters_are_not_split(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lattice, "REACH", 1.2)  # cells beyond the last one would be those of its other part
    world = CellWorld()
    world.write({A: 7, C: 9})
    world.run()
    assert world.labels() == expected(world)
    assert [world.labels()[cell] for cell in (A, C)] == [0, 1]
    assert (
        "16 users with 2 distinct totals, fewer than the 3 clusters: the other labels stay unused; choose fewer"
        " clusters: -k 2"
    ) in caplog.messages


class Ignoring:
    """A report that ignores everything; tests override methods."""

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Ignored."""

    def restored(self, *, complete: bool) -> None:
        """Ignored."""

    def bad(self, n_records: int) -> None:
        """Ignored."""

    def step(self, step: object) -> None:
        """Ignored."""

    def close(self) -> None:
        """Ignored."""


def test_steps_follow_while_it_runs() -> None:
    world = CellWorld(until_end=False, batch_interval=1.0)
    world.write(THREE)
    steps, first = list[object](), dict[int, int]()

    class Watching(Ignoring):
        def step(self, step: object) -> None:
            steps.append(step)
            if len(steps) == 1:
                first.update(world.labels())
                world.write({C + 4000: 500, B: 0, B + 2000: 0, A + 4000: 25})
            else:
                world.stop.requested = True

    assert world.run(report=Watching()) is None
    assert len(steps) == 2
    now = {**first, **expected(world)}
    assert world.labels() == now
    assert len(world.written) == len(first) + sum(first.get(cell) != label for cell, label in now.items())


def test_a_restore_is_complete_once_all_counts_are_read() -> None:
    world = CellWorld(partitions=3)
    world.write(THREE)
    calls = list[object]()

    class Watching(Ignoring):
        def restored(self, *, complete: bool) -> None:
            calls.append(complete)

        def read(self, n_records: int, n_behind: int | None) -> None:
            calls.extend(["records"] if n_records else [])

    world.run(report=Watching())
    assert calls[0] is False
    assert calls.index(True) > calls.index("records")


def test_a_stop_before_all_counts_are_read_writes_nothing() -> None:
    """A fit on part of the counts would move users to other labels, and the next start would move them back."""
    world = CellWorld(partitions=3)
    world.write(THREE)
    world.run()
    before = world.written

    class Stopping(Ignoring):
        def read(self, n_records: int, n_behind: int | None) -> None:
            world.stop.requested = world.stop.requested or (n_behind is not None and n_records > 0)

    assert world.run(report=Stopping()) is None
    assert world.stop.requested
    assert world.written == before


@pytest.mark.parametrize("given", [{}, {"batch_size": 2}])
def test_counts_that_take_long_to_read_are_fitted_once_they_are_read(given: dict[str, object]) -> None:
    """On a clock that ticks with every call, many times ten seconds pass until then."""
    world, steps = CellWorld(partitions=41, **given), list[object]()
    world.write({1000 * column + 11: 1 + column % 7 for column in range(40)})

    class Counting(Ignoring):
        def step(self, step: object) -> None:
            steps.append(step)

    assert world.run(report=Counting()) is None
    assert len(steps) == 1
    assert world.labels() == expected(world)
    assert len(world.written) == len(expected(world)), "each once"


# -k auto


def test_k_auto_is_kept_in_the_output(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = CellWorld(n_clusters="auto")
    world.write(SPREAD_OUT)
    assert world.run() is None
    assert "-k auto: 3 clusters; kept until -k is a number" in caplog.messages
    assert world.labels() == expected(world, 3)
    caplog.clear()
    n_before = len(world.written)
    world.write({A + 20_000: 3_000})
    assert world.run() is None
    assert "-k auto: 3 clusters, chosen at an earlier start" in caplog.messages
    assert len(world.written) > n_before


def test_another_k_removes_the_choice() -> None:
    world = CellWorld(n_clusters="auto")
    world.write(SPREAD_OUT)
    world.run()
    assert choices(world) == [Chosen(3)]
    world.settings = CellWorld(n_clusters=3).settings
    assert world.run() is None
    assert choices(world) == [Chosen(3), None], "only the record of cell 0 is written again"
    assert len(world.written) == len(world.labels()) + 1


def test_another_k_removes_the_choice_also_after_a_step_without_users() -> None:
    world = CellWorld(n_clusters="auto")
    world.write(SPREAD_OUT)
    world.run()
    world.write(dict.fromkeys(SPREAD_OUT, 0))
    world.settings = CellWorld(n_clusters=3, until_end=False, batch_interval=1.0).settings
    steps = list[object]()

    class Watching(Ignoring):
        def step(self, step: object) -> None:
            steps.append(step)
            world.write(SPREAD_OUT)
            world.stop.requested = len(steps) == 2

    assert world.run(report=Watching()) is None
    assert choices(world) == [Chosen(3), None]


def choices(world: CellWorld) -> list[Chosen | None]:
    """The choices in the records of cell 0."""
    records = itertools.chain(*world.broker.logs["out"])
    return [choice_in(each.headers()) for each in records if each.key() == frame(3, body(CELLS_KEY, {"cell": 0}))]


@pytest.mark.parametrize("choice", [Chosen(2), Chosen(10, "log")])
def test_a_choice_as_a_header(choice: Chosen) -> None:
    assert choice_in(output_headers(choice, 2)) == choice


def test_a_choice_as_release_0_1_0_wrote_it() -> None:
    """Apart from labels this is all the state of --cells: it has no offsets, so no marks and no sample."""
    assert choice_in([("chosen", b"10 log")]) == Chosen(10, "log")


@pytest.mark.parametrize("headers", [None, [], [("chosen", b"")], [("chosen", b"many log")], [("other", b"3 none")]])
def test_other_headers_are_no_choice(headers: list[tuple[str, bytes]] | None) -> None:
    assert choice_in(headers) is None


# What is refused


def test_a_record_that_cannot_be_read() -> None:
    world = CellWorld()
    world.write(THREE)
    world.broker.append("in", 0, b"no Avro", [], frame(1, body(CELLS_KEY, {"cell": 5})))
    ended = world.run()
    assert isinstance(ended and ended.reason, RecordError)
    assert str(ended and ended.reason) == (
        f"in [0] at offset {len(THREE)}: not Confluent Avro (first byte 0x6e); to skip such records:"
        " --error-handling-mode ignore"
    )
    world.settings = CellWorld(error_handling_mode="ignore").settings
    assert world.run() is None
    assert world.labels() == expected(world)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        (None, b"", "no key"),
        (frame(1, body(CELLS_KEY, {"cell": -1})), None, "cell must be a whole number from 0 to 88419999, got -1"),
        (frame(1, b""), None, "does not match its schema id 1"),
    ],
)
def test_invalid_keys_are_refused(key: bytes | None, value: bytes | None, error: str) -> None:
    world = CellWorld()
    world.broker.append("in", 0, value, [], key)
    ended = world.run()
    assert error in str(ended and ended.reason)


@pytest.mark.parametrize("amount", [1.1e150, 1e200, 1e308])
def test_an_amount_that_the_plain_client_refuses_too(amount: float) -> None:
    """Squares of such amounts are not finite."""
    world, far = CellWorld(), cell_oracle.cell_of(amount, 1)
    world.write({**THREE, far: 1})
    ended = world.run()
    assert isinstance(ended and ended.reason, RecordError)
    assert str(ended and ended.reason) == (
        f"in [0] at offset {len(THREE)}: cell must be a whole number from 0 to 88419999, got {far}; to skip such"
        " records: --error-handling-mode ignore"
    )


def test_a_foreign_output_is_refused() -> None:
    world = CellWorld()
    world.broker.append("out", 0, frame(4, body(LABELS_VALUE, {"cell": 1, "label": None})), [], b"plain")
    ended = world.run()
    assert isinstance(ended and ended.reason, StateError)
    assert str(ended and ended.reason) == (
        "out [0] at offset 0: not a cell's label (not Confluent Avro (first byte 0x70)); choose another output with -o"
    )


def test_topics_without_subjects_are_refused() -> None:
    world = CellWorld()
    world.registry = registry_of(in__key=CELLS_KEY)
    ended = world.run()
    assert isinstance(ended and ended.reason, SchemaError)
    assert str(ended and ended.reason) == (
        "subject in-value does not exist; to create topic and subjects: run sql/scale_out/1_create_user_cells.sql"
    )


def test_schemas_of_other_tables_are_refused() -> None:
    world = CellWorld()
    world.registry = registry_of(in__key=CELLS_KEY, in__value=LABELS_VALUE)
    ended = world.run()
    assert str(ended and ended.reason) == (
        "subjects in-key and in-value are not records of cell int, and of num_users as a whole number; delete the topic"
        " and both subjects, then run sql/scale_out/1_create_user_cells.sql"
    )


# Weights and borders


def few_cells() -> Iterator[tuple[Numbers, Numbers]]:
    """Some cells and how many users each has."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        totals: Totals = np.column_stack((rng.lognormal(1, 1.5, 300), rng.integers(1, 40, 300).astype(np.float64)))
        cells, users = np.unique(cells_at(totals), return_counts=True)
        yield cells, users.astype(np.int64)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("fit", ["users", "cells"])
def test_weights_of_one_fit_as_users_do(scale: str, fit: str) -> None:
    """Groups far apart, so that there is one best clustering, which K-means finds in any case."""
    rng = np.random.default_rng(3)
    totals = np.vstack([rng.normal(at, (4, 0.4), (40, 2)) for at in ((50, 4), (400, 30), (3000, 200))])
    users = cluster(totals, 3, 5, scale, fit)
    weighted = cluster(totals, 3, 5, scale, weights=np.ones(len(totals)))
    assert weighted.labels.tolist() == users.labels.tolist()
    assert weighted.centers == pytest.approx(users.centers)
    if scale != "none" or fit == "cells":
        assert weighted.inertia == pytest.approx(users.inertia)


@pytest.mark.parametrize("scale", SCALES)
def test_a_weight_is_so_many_equal_users(scale: str) -> None:
    rng = np.random.default_rng(4)
    totals = np.vstack([rng.normal(at, (4, 0.4), (9, 2)) for at in ((50, 4), (400, 30), (3000, 200))])
    weights = rng.integers(1, 6, len(totals))
    repeated = cluster(np.repeat(totals, weights, axis=0), 3, 5, scale, "cells")
    weighted = cluster(totals, 3, 5, scale, weights=weights)
    assert np.repeat(weighted.labels, weights).tolist() == repeated.labels.tolist()
    assert weighted.centers == pytest.approx(repeated.centers)


def test_cells_without_a_border_have_one_nearest_center() -> None:
    """Wherever users are in such a cell, their nearest center is that of the cell."""
    for scale in SCALES:
        for cells, users in few_cells():
            middles = lattice.middles(cells)
            scaled = fit_scaling(scale, middles, users)
            centers = middles[[10, len(cells) // 2, -3]]
            within = lattice.points_in(cells, (7, 5))
            nearest = scaled.nearest(within, centers).reshape(len(cells), -1)
            torn = (nearest != scaled.nearest(middles, centers)[:, None]).any(axis=1)
            assert users[torn].sum() <= users_at_borders(cells, users, centers, scaled) < users.sum() / 4


def test_many_users_at_borders_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Three neighbouring amount bins and two clusters: the border is in the one in the middle."""
    caplog.set_level(logging.INFO)
    world = CellWorld(n_clusters=2)
    world.write({A: 1000, A + 1000: 1000, A + 2000: 1000})
    world.run()
    messages = [message for message in caplog.messages if "border" in message]
    assert messages == [
        "3 cells, 33.3% of the users in cells that a cluster border crosses",
        "33.3% of the users are in cells that a cluster border crosses and may have the label of the other side; finer"
        " cells reduce this, see docs/scale-out.md: larger constants than 256 and 16 in sql/scale_out and"
        " classifier/cells/lattice.py",
    ]
