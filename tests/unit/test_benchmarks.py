"""The benchmarks: inputs, checks of tables, medians and ratios, targets, the printed table."""

import inspect
import re
import sys
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from benchmarks.__main__ import parser, plan_from
from benchmarks.history import INSERT, Changes, History, n_events_for, skewed_users, whole_amounts
from benchmarks.inputs import N_PARTITIONS, WIDE_SCHEMA, Input
from benchmarks.large import PART, RESTORED, Large, large_targets, seconds_of_first
from benchmarks.large import row as large_row
from benchmarks.last_rows import WrongTable, check_last_rows
from benchmarks.measures import segments
from benchmarks.measures.cell_steps import CellSteps
from benchmarks.measures.changed_users import ChangedUsers
from benchmarks.measures.changed_users import summary_of as changed_users_of
from benchmarks.measures.five_features import FiveFeatures, expected_on_five
from benchmarks.measures.latency import summary_of
from benchmarks.measures.segments import Inertia, Moves, Segments
from benchmarks.plan import QUICK, Plan
from benchmarks.processes import ProgramFailed, Usage, measure
from benchmarks.program_runs import LIMIT, OURS, ProgramRuns
from benchmarks.programs.job import Row, save_table
from benchmarks.programs.last_row import LastRows
from benchmarks.programs.limit import CHUNK, POLL_SECONDS, PROPERTIES
from benchmarks.programs.timed_client import FitsOnCells
from benchmarks.progress import Progress
from benchmarks.results import Results, as_json, rounded
from benchmarks.steps import Step, cycles_ms, steps_in
from benchmarks.summary import Summary, paired_ratios, percentile
from benchmarks.table import feature_lines, report, segment_lines
from benchmarks.targets import Target, overall, targets
from classifier.config.settings import Settings
from classifier.kafka import client, sink, source
from classifier.reports import step as client_step
from classifier.users import intake as users_intake
from tests.support.changelog import Change, Op
from tests.support.changelog import Row as Aggregate
from tests.support.customers import customers
from tests.support.oracle import settled_table
from tests.support.wire import AGGREGATE_SCHEMA, unframe
from user_classifier import cluster

# Inputs


def some_history(n_users: int = 20, n_events: int = 300) -> tuple[History, Changes]:
    """A history with events, and their changelog."""
    rng = np.random.default_rng(1)
    history = History(n_users)
    changes = history.add_events(skewed_users(rng, n_users, n_events), whole_amounts(rng, n_events))
    return history, changes


def records(source: Input, changes: Changes) -> list[Change]:
    """The records of some changes, decoded by tests/support."""
    found = []
    for _, value, headers in source.records(changes):
        op = Op(headers[0][1][0]) if headers and isinstance(headers[0][1], bytes) else Op.INSERT
        found.append(Change(op, Aggregate(**unframe(AGGREGATE_SCHEMA, value))))
    return found


def as_input(history: History) -> Input:
    """An input with a topic that is never written."""
    return Input("topic", history, 7, Mock(), np.random.default_rng(2))


def test_a_changelog_worked_out_by_hand() -> None:
    history = History(3)
    changes = history.add_events(np.array([1, 1, 0]), np.array([5.0, 7.0, 2.0]))
    assert changes.ops.tolist() == [0, 1, 2, 0]
    assert changes.events.tolist() == [0, 0, 1, 2]
    assert history.rows() == {"User_0": (2.0, 1), "User_1": (12.0, 2)}


def test_a_changelog_settles_to_the_table() -> None:
    history, changes = some_history()
    more = history.add_events(np.array([3, 3, 4]), np.array([1.0, 2.0, 3.0]))
    source = as_input(history)
    assert settled_table(records(source, changes) + records(source, more)) == history.rows()
    assert [op for op, _ in records(source, more)] == [Op.UPDATE_BEFORE, Op.UPDATE_AFTER] * 3


def test_every_user_has_an_event_and_some_have_far_more() -> None:
    n_users = 1_000
    n_records = 20_000
    history, changes = some_history(n_users, n_events_for(n_users, n_records))
    assert (changes.ops == INSERT).sum() == n_users
    assert n_records <= len(changes) <= n_records + 1
    assert max(count for _, count in history.rows().values()) > 20 * len(history) / n_users


@pytest.mark.parametrize(("n_users", "n_records", "n_events"), [(10, 10, 10), (10, 5, 10), (10, 11, 11), (10, 12, 11)])
def test_number_of_events_for_a_number_of_records(n_users: int, n_records: int, n_events: int) -> None:
    assert n_events_for(n_users, n_records) == n_events


def test_records_are_partitioned_by_a_hash_of_the_whole_value() -> None:
    history, changes = some_history()
    written = list(as_input(history).records(changes))
    assert all(partition == zlib.crc32(value) % N_PARTITIONS for partition, value, _ in written)
    assert {partition for partition, _, _ in written} == set(range(N_PARTITIONS))


def test_a_history_without_events_has_no_rows() -> None:
    history = History(5)
    assert len(history.add_events(np.empty(0, np.int64), np.empty(0))) == 0
    assert history.rows() == {}


# Tables of other programs


def test_old_rows_are_counted_and_rows_that_never_existed_are_found(tmp_path: Path) -> None:
    history = History(2)
    path = tmp_path / "table"
    history.add_events(np.array([0, 1, 1]), np.array([4.0, 5.0, 6.0]))
    tables: list[tuple[dict[str, Row], float]] = [
        ({"User_0": (4.0, 1), "User_1": (11.0, 2)}, 0.0),
        ({"User_1": (5.0, 1), "User_0": (4.0, 1)}, 0.5),
    ]
    for table, old in tables:
        save_table(table, path)
        assert check_last_rows(path, history) == old
    wrong: list[dict[str, Row]] = [
        {"User_0": (4.0, 1)},
        {"User_0": (4.0, 1), "User_1": (12.0, 2)},
        {"User_0": (4.0, 1), "User_1": (11.0, 3)},
        {"User_0": (4.0, 1), "User_2": (11.0, 2)},
    ]
    for table in wrong:
        save_table(table, path)
        with pytest.raises(WrongTable):
            check_last_rows(path, history)


def test_last_row_skips_retractions() -> None:
    table = LastRows()
    for amount, headers in ((1.0, None), (2.0, [("op", b"\2")]), (1.0, [("op", b"\1")]), (2.0, [("op", b"\3")])):
        table.add({"user_id": "User_1", "total_amount": amount, "num_transactions": 1}, headers)
    assert table.rows == {"User_1": (2.0, 1)}
    assert table.n_records == 4


# Numbers


def test_summary() -> None:
    assert Summary.of([3.0, 1.0, 2.0, 10.0]) == Summary(2.5, 1.0, 10.0, 4)
    with pytest.raises(ValueError, match="nothing was measured"):
        Summary.of([])


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (0.995, 100), (1.0, 100), (0.0, 1)])
def test_percentile(share: float, value: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_ratios_are_taken_round_by_round() -> None:
    assert paired_ratios([10.0, 40.0, 7.0], [20.0, 40.0]) == [0.5, 1.0]


def test_latency_bins() -> None:
    found = summary_of(5, [0.01, 0.04, 0.06, 0.26])
    assert found.bins == [2, 1, 0, 0, 0, 1]
    assert found.median == 0.04
    assert found.max == 0.26


def test_rounding_keeps_four_digits() -> None:
    assert rounded({"a": [1234.56, 0.00012345678, 7]}) == {"a": [1235.0, 0.0001235, 7]}


# The client's log

LOG = """\
2026-01-02 03:04:05,100 INFO aggregate: 0 users restored from labels
2026-01-02 03:04:05,200 INFO 12 records, 10 users, 10 changes, fit 3 ms, commit 17 ms
2026-01-02 03:04:05,225 INFO 1 records, 10 users, 2 changes, fit 2 ms, commit 15 ms
"""


def test_steps_are_read_from_the_log() -> None:
    first, second = steps_in(LOG)
    assert (first.n_records, first.n_users, first.n_changes, first.fit_ms, first.ms) == (12, 10, 10, 3.0, 20.0)
    assert cycles_ms([first, second], 1) == pytest.approx([25.0])
    assert cycles_ms([first, first, second, second], 2) == pytest.approx([12.5, 12.5])


def test_the_client_logs_its_steps_like_this(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    step_of_client = client_step.Step(
        user_ids=[],
        totals=np.ones((10, 2)),
        labels=np.zeros(10, np.int32),
        centers=np.ones((1, 2)),
        n_records=12,
        n_changes=7,
        fit_seconds=0.003,
        commit_seconds=0.017,
        lag={},
    )
    client_step.log_step(step_of_client)
    (step,) = steps_in(f"2026-01-02 03:04:05,200 INFO {caplog.messages[0]}")
    assert (step.n_records, step.n_users, step.n_changes, step.fit_ms, step.commit_ms) == (12, 10, 7, 3.0, 17.0)


def test_the_client_logs_restores_and_parts_of_steps_like_this() -> None:
    assert PART in inspect.getsource(sink)
    restored = re.search(r'log\.info\("(.*users restored.*?)"', inspect.getsource(users_intake))
    assert restored is not None
    assert RESTORED.search(f"2026-01-02 03:04:05,100 INFO {restored[1]}")


def test_the_limit_reads_with_the_clients_settings() -> None:
    ours = Settings(schema_registry={}, consumer={}, producer={}).consumer_properties
    start = {"group.id", "auto.offset.reset"}  # the limit starts at offset 0
    assert {name: value for name, value in ours.items() if name not in start} == PROPERTIES
    assert (CHUNK, POLL_SECONDS) == (source.MAX_POLL_RECORDS, client.POLL_SECONDS)


# Targets and table


def runs(name: str, n_users: int, *seconds: float) -> ProgramRuns:
    """Runs of these durations on a million records."""
    return ProgramRuns(name, n_users, 1_000_000, [Usage(each, 2.0, 100.0) for each in seconds])


def changed(n_users: int, step_ms: float, bare_ms: float) -> ChangedUsers:
    """Steps of equal duration."""
    step, bare, ratio, n_changes = (
        Summary(each, each, each, 5) for each in (step_ms, bare_ms, step_ms / bare_ms, n_users / 100)
    )
    return ChangedUsers(n_users, step, bare, bare, ratio, n_changes)


def verdicts(results: Results) -> dict[str, str]:
    """The verdicts of the targets that were measured, by name."""
    return {each.name: each.verdict for each in targets(results) if each.met is not None}


def test_targets_compare_programs_on_the_same_input() -> None:
    programs = [runs(LIMIT, 10_000, 2.0, 4.0, 3.0), runs(OURS, 10_000, 4.0, 8.0, 6.2)]
    programs += [runs(LIMIT, 1_000_000, 3.0), runs(OURS, 1_000_000, 12.0)]
    assert verdicts(Results(False, programs)) == {
        "records/s, user_classifier / limit, 10,000 users": "met",
        "records/s, user_classifier / limit, 1,000,000 users": "MISSED",
        "peak memory, catch-up, 1,000,000 users": "met",
    }


def test_targets_of_large_steps() -> None:
    results = Results(False, changed_users=[changed(10_000, 20.0, 10.0), changed(1_000_000, 1000.0, 600.0)])
    assert verdicts(results) == {
        "step with 1 % changed / bare KMeans.fit, 1,000,000 users": "met",
        "step with 1 % changed, 1,000,000 / 10,000 users": "met",
    }


def some_segments(percent: float, cells: float) -> Segments:
    """Segments with a median percentage of changed labels and an inertia in percent above the reference."""
    moves = [
        Moves("log", fit, n_clusters, Summary(percent if (fit, n_clusters) == ("cells", 5) else 50.0, 0.0, 60.0, 68))
        for fit in ("users", "cells")
        for n_clusters in (3, 5)
    ]
    inertias = [Inertia("log", 3, 60, 10.0, -1.0), Inertia("log", 5, 60, 20.0, cells)]
    return Segments(23_570, moves, inertias)


@pytest.mark.parametrize(("percent", "cells", "verdict"), [(3.0, 0.1, "met"), (3.1, 0.11, "MISSED")])
def test_targets_of_segments(percent: float, cells: float, verdict: str) -> None:
    ratios = {"none": 0.9, "log": 1.1}
    steps = [CellSteps(scale, changed(1_000_000, 600.0 * ratio, 600.0)) for scale, ratio in ratios.items()]
    found = verdicts(Results(False, segments=some_segments(percent, cells), cell_steps=steps))
    assert found == {
        "customers with a new label per step, --fit cells --scale log, 5 clusters": verdict,
        "inertia above the best of many runs on all users, --fit cells, maximum": verdict,
        "step with 1 % changed, --fit cells --scale none / bare KMeans.fit, 1,000,000 users": "met",
        "step with 1 % changed, --fit cells --scale log / bare KMeans.fit, 1,000,000 users": "MISSED",
    }


@pytest.mark.parametrize(("rate", "step", "verdict"), [(0.8, 1.3, "met"), (0.79, 1.31, "MISSED")])
def test_targets_of_five_features(rate: float, step: float, verdict: str) -> None:
    one = Summary(1.0, 1.0, 1.0, 3)
    features = FiveFeatures(10_000, 100, one, Summary(rate, rate, rate, 3), one, one)
    results = Results(False, five_features=[features], five_feature_steps=changed(1_000_000, 600.0 * step, 600.0))
    assert verdicts(results) == {
        "records/s, five features / two totals, 10,000 users": verdict,
        "step with 1 % changed, five features / bare KMeans.fit, 1,000,000 users": verdict,
    }
    assert [line.split(":")[0] for line in feature_lines(results)] == [
        "five features, 10,000 users",
        "step with 1 % changed, 1,000,000 users, five features",
    ]


def test_rows_with_more_columns() -> None:
    """They are written with the schema, and the benchmark's expected labels use the same columns."""
    source = Input("topic", History(3), 7, Mock(), np.random.default_rng(2), wide=True)
    source.add_events(np.array([0, 1, 2, 1], np.int64))
    rows = [unframe(WIDE_SCHEMA, value) for value in source.encode(np.arange(4))]
    assert [row["num_transactions"] for row in rows] == [1, 1, 1, 2]
    assert all(row["mean_amount"] == row["total_amount"] / row["num_transactions"] for row in rows)
    assert all(type(row["last_purchase"]) is datetime for row in rows)
    assert {label for *_, label in expected_on_five(source).values()} == {0, 1, 2}


def test_bare_fits_are_subtracted_from_steps_with_fit_cells(tmp_path: Path) -> None:
    result = tmp_path / "fits.json"
    result.write_text('{"in_steps": [1, 200], "bare": [1, 300], "encoding": [1, 50]}', encoding="utf-8")
    steps = {1: Step(datetime.now(UTC), 20, 10, 5, fit_ms=600.0, commit_ms=100.0)}
    found = changed_users_of(10, steps, result)
    assert (found.step_ms.median, found.fit_in_step_ms.median) == (350.0, 200.0)
    assert found.step_over_bare_fit.median == pytest.approx(350 / 300)


def test_timing_does_not_change_fits_with_fit_cells() -> None:
    fits = FitsOnCells()
    totals = np.random.default_rng(1).lognormal(3, 1, (50, 2))
    found = fits.cluster(totals, 3, scale="log", fit="cells")
    assert found.labels.tolist() == cluster(totals, 3, scale="log", fit="cells").labels.tolist()
    assert [len(each) for each in (fits.in_steps_ms, fits.bare_ms, fits.encoding_ms)] == [1, 1, 1]


def test_segments_are_printed() -> None:
    steps = [CellSteps("log", changed(10_000, 6.0, 5.0))]
    printed = segment_lines(Results(True, segments=some_segments(2.0, 0.05), cell_steps=steps))
    assert printed[3:] == [
        "customers with a new label per step, --scale log --fit cells, 5 clusters: 2 % (0 - 60)",
        "inertia, --scale log, 3 clusters, above the best of 60 runs: --fit users +10.00 %, cells -1.00 %",
        "inertia, --scale log, 5 clusters, above the best of 60 runs: --fit users +20.00 %, cells +0.05 %",
        "step with 1 % changed, 10,000 users, --fit cells --scale log: 6 ms (6 - 6), of which the fit 5;"
        " KMeans.fit alone 5; 100 labels written",
    ]


def test_customers_are_added_by_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "N_PURCHASES", 3_500)
    assert segments.moves("none", "users", 3).percent.n == 2
    first, second = (customers(n_purchases) for n_purchases in (1_000, 2_000))
    before, after = (cluster(each.totals, 3).labels.tolist() for each in (first, second))
    now = dict(zip(second.numbers.tolist(), after, strict=True))
    moved = [now[customer] != label for customer, label in zip(first.numbers.tolist(), before, strict=True)]
    assert next(segments.percents_moved("none", "users", 3)) == pytest.approx(100 * np.mean(moved))
    assert any(moved)


@pytest.mark.parametrize("scale", ["none", "log"])
def test_inertia_is_compared_in_the_same_space(scale: str) -> None:
    """The best of two runs is close to the result of each fit."""
    found = segments.inertia(scale, 3, 2)
    assert abs(found.users) < 0.1
    assert abs(found.cells) < 0.1


def test_verdicts_are_counted() -> None:
    one = Summary(1.0, 1.0, 1.0, 1)
    found = [Target("a", 1.0, True, one), Target("b", 0.9, False, one), Target("c", 1.0, True, None)]
    assert overall(found) == "1 met, 1 missed, 1 not measured"


def test_table_shows_numbers_ratios_and_failures() -> None:
    failed = ProgramRuns("Bytewax", 10, 1_000_000, error="not installed: no such package\nmore")
    results = Results(True, [runs(LIMIT, 10, 2.0, 2.0), runs(OURS, 10, 4.0, 5.0), failed])
    rows = [re.split(r"  +", row.strip()) for row in report(results, targets(results)).splitlines()]
    assert ["10", "1,000,000", "limit", "500,000", "500,000 - 500,000", "0.45", "2", "100", "2", "correct"] in rows
    assert [
        "10",
        "1,000,000",
        "user_classifier",
        "225,000",
        "200,000 - 250,000",
        "-",
        "2",
        "100",
        "2",
        "correct",
    ] in rows
    assert ["10", "1,000,000", "Bytewax", "-", "-", "-", "-", "-", "0", "not installed: no such package"] in rows


def test_json_holds_each_run() -> None:
    found = as_json(Results(True, [runs(OURS, 10, 4.0, 5.0)]), 60.0)
    (written,) = found["lines"]
    assert (written["seconds"], written["records_per_second"]["n"]) == ([4.0, 5.0], 2)
    assert {"date", "commit", "cores", "versions"} <= found["about"].keys()


# The command line and the clock


def planned(*arguments: str) -> Plan:
    """The plan for a command line."""
    return plan_from(parser().parse_args(arguments))


def test_plans() -> None:
    assert planned() == Plan()
    assert planned("--quick") == QUICK
    few = planned("--users", "100,50", "--only", "limit,quixstreams", "--runs", "2")
    assert (few.users, few.restart_users, few.target_users, few.changed_users) == ((50, 100), 100, 100, ())
    assert few.wants("Quix Streams")
    assert not few.wants("restart")


@pytest.mark.parametrize("arguments", [["--only", "limits"], ["--users", "1"], ["--users", "x"], ["--runs", "0"]])
def test_a_wrong_command_line_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        planned(*arguments)
    assert arguments[0] in capsys.readouterr().err


def test_results_are_empty_until_something_was_measured() -> None:
    results = Results(quick=True, versions={"Bytewax": {"bytewax": "1.0"}}, not_measured=["latency"])
    assert results.empty
    results.programs.append(runs("limit", 10, 1.0))
    assert not results.empty


def test_what_is_skipped_for_lack_of_time_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(minutes=1.0)
    assert progress.has_time_for("a run", 30.0)
    assert not progress.has_time_for("another", 90.0)
    assert progress.left_out == ["another"]
    assert "no time left for another" in capsys.readouterr().err


def test_programs_are_measured(tmp_path: Path) -> None:
    log = tmp_path / "program.log"
    usage = measure([sys.executable, "-S", "-c", "print('hello')"], log, 10.0)
    assert 0 < usage.seconds < 10
    assert 0 < usage.peak_mib < 1000
    assert log.read_text() == "hello\n"
    command: list[Any] = [sys.executable, "-S", "-c", "import sys; sys.exit('oops')"]
    with pytest.raises(ProgramFailed, match=r"exit code 1; its output: \.\.\.oops"):
        measure(command, log, 10.0)


# One process with ten million users

MEASURED = Large(
    n_users=10_000_000,
    first_seconds=99.6,
    first_peak_mib=5_400.0,
    aborted_peak_mib=5_900.0,
    restart_seconds=68.0,
    restart_peak_mib=3_900.0,
    step_ms=21_000.0,
    bare_fit_ms=19_500.0,
    step_over_bare_fit=1.1,
    cells_step_ms=4_900.0,
    cells_bare_fit_ms=20_000.0,
    cells_step_over_bare_fit=0.24,
)
FIRST_LOG = """\
2026-11-24 09:38:10,000 INFO aggregate: 0 users restored from labels
2026-11-24 09:38:30,500 INFO a large step: 1650000 labels are committed, more follow
2026-11-24 09:38:40,250 INFO 20 records, 10 users, 10 changes, fit 4 ms, commit 23 ms, lag 0
2026-11-24 09:38:41,000 INFO 0 records, 10 users, 0 changes, fit 4 ms, commit 23 ms, lag 0
"""


def test_first_labels_are_timed_from_the_restore_to_the_last_step_with_labels() -> None:
    assert seconds_of_first(FIRST_LOG) == 30.25
    with pytest.raises(ValueError, match="nothing was labelled"):
        seconds_of_first(FIRST_LOG.replace("10 changes", "0 changes"))


def test_a_row_of_the_table_of_large_sizes() -> None:
    cells = ["10,000,000", "99.6 s", "5,400 MiB", "5,900 MiB", "68 s", "21 s", "19.5 s", "1.1", "4.9 s", "20 s", "0.24"]
    assert large_row(MEASURED) == cells


def test_targets_of_ten_million_users() -> None:
    assert [each.met for each in large_targets([MEASURED])] == [True] * 5
    slower = replace(
        MEASURED,
        first_seconds=101.0,
        restart_seconds=71.0,
        step_over_bare_fit=1.21,
        cells_step_over_bare_fit=0.26,
    )
    assert [each.met for each in large_targets([slower])] == [False] * 4 + [True]
    assert [each.met for each in large_targets([replace(MEASURED, aborted_peak_mib=6_145.0)])][-1] is False
    assert [each.met for each in large_targets([replace(MEASURED, n_users=1_000_000)])] == [None] * 5
