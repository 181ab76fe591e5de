"""The printed report: a table of all programs, the other measurements, the targets."""

from __future__ import annotations

from collections.abc import Container, Sequence

from benchmarks.measures.changed_users import ChangedUsers
from benchmarks.program_runs import AVRO, BYTEWAX, LIMIT, OURS, QUIX, ProgramRuns
from benchmarks.results import Results
from benchmarks.summary import Summary
from benchmarks.targets import Target, overall, rate_ratio

HEAD = ("users", "records", "program", "records/s", "min - max", "client /", "CPU s/M", "peak MiB", "runs", "table")
NOTES = {
    LIMIT: "consume() alone; counts records",
    OURS: "the whole process, until every label is committed",
    AVRO: "plain confluent-kafka loop; keeps the last row added per user; no fit, labels, retractions or offsets",
    QUIX: "keeps the last row added per user. Not possible: a fit on the whole table (state is per key and partition);"
    " retractions from other partitions, except through another topic keyed by user. Not used: its exactly-once mode",
    BYTEWAX: "keeps the last row added per user. Not possible: exactly once into Kafka (no transactions; offsets in its"
    " own store); a fit on the whole table with more than one worker",
    "original": "one step per record; its start, and the records before every user is known, are not counted",
}
OLD_ROWS = (
    "old rows: share of users whose last row is not their current one, as partitions depend on the value of a row"
)


def columns(rows: Sequence[Sequence[str]], texts: Container[int]) -> list[str]:
    """Return lines with aligned columns: `texts` are the indices of left-aligned ones, others are right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if index in texts else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def number(value: float) -> str:
    """Return a number with three significant digits or thousands separators."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(summary: Summary) -> str:
    """Return the range from minimum to maximum."""
    return f"{number(summary.min)} - {number(summary.max)}"


def program_cells(results: Results, runs: ProgramRuns) -> list[str]:
    """Return the row of a program on one input."""
    start = [f"{runs.n_users:,}", f"{runs.n_records:,}", runs.name]
    if not runs.usages:
        return [*start, "-", "-", "-", "-", "-", "0", short(runs.error)]
    ratio = "-" if runs.name == OURS else ratio_cell(rate_ratio(results, runs.name, runs.n_users, runs.n_records))
    verdict = f"{100 * max(runs.old_rows):.0f} % old rows" if runs.old_rows else "correct"
    numbers = [number(runs.rate.median), spread(runs.rate), ratio, number(runs.cpu.median), number(runs.peak.median)]
    return [*start, *numbers, str(runs.rate.n), short(runs.error) if runs.error else verdict]


def short(error: str) -> str:
    """Return the first 60 characters of a message, from its first line."""
    return error.splitlines()[0][:60]


def ratio_cell(ratio: Summary | None) -> str:
    """Return the client's rate over that of a program."""
    return "-" if ratio is None else f"{ratio.median:.2f}"


def original_cells(results: Results) -> list[list[str]]:
    """Return the rows of the original, which takes one step per record."""
    rows = []
    for each in results.one_record:
        start = [f"{each.n_users:,}", "-", "original"]
        run = each.original
        if run is None:
            rows.append([*start, "-", "-", "-", "-", "-", "0", short(each.error)])
            continue
        ends = f"{number(1000 / run.step_ms.max)} - {number(1000 / run.step_ms.min)}"
        usage = [number(run.cpu_seconds_per_million), number(run.peak_mib), f"{run.step_ms.n} steps"]
        rows.append([*start, number(run.records_per_second), ends, "-", *usage, "all users written"])
    return rows


def main_table(results: Results) -> list[str]:
    """Return the table of all programs by number of users, and a note on each program."""
    programs = sorted(results.programs, key=lambda runs: (runs.n_users, runs.n_records))
    rows = [list(HEAD), *(program_cells(results, runs) for runs in programs), *original_cells(results)]
    names = [name for name in NOTES if any(row[2] == name for row in rows)]
    return [*columns(rows, (2, 9)), "", *(f"{name}: {NOTES[name]}" for name in names), OLD_ROWS]


def further(results: Results) -> list[str]:
    """Return one line for each measurement of steps, restarts and latency."""
    lines = []
    for one in results.one_record:
        original = f", original {number(one.original.step_ms.median)} ms" if one.original else ""
        lines.append(
            f"step of one record, {one.n_users:,} users: {number(one.client_cycle_ms.median)} ms"
            f" ({spread(one.client_cycle_ms)}; fit and commit {number(one.client_step_ms.median)}){original}"
        )
    for many in results.changed_users:
        lines.append(f"step with 1 % changed, {many.n_users:,} users: {step_summary(many)}")
    lines += segment_lines(results)
    lines += feature_lines(results)
    if results.restart:
        seconds = results.restart.first_label_seconds
        peak = results.restart.peak_mib
        users = f"{results.restart.n_users:,} users"
        lines.append(f"restart, {users}: {number(seconds.median)} s ({spread(seconds)}), {number(peak.median)} MiB")
    if results.latency:
        found = results.latency
        lines.append(
            f"record to label, {found.n_users:,} users: median {found.median:.2f} s, p99 {found.p99:.2f} s,"
            f" max {found.max:.2f} s, {found.n_labels:,} labels"
        )
    return lines + [f"not measured: {each}" for each in results.not_measured]


def segment_lines(results: Results) -> list[str]:
    """Return one line for each measurement of changed labels, inertia and steps with --fit cells."""
    lines = []
    for moves in results.segments.moves if results.segments else []:
        what = (
            f"customers with a new label per step, --scale {moves.scale} --fit {moves.fit}, {moves.n_clusters} clusters"
        )
        lines.append(f"{what}: {number(moves.percent.median)} % ({spread(moves.percent)})")
    for inertia in results.segments.inertias if results.segments else []:
        what = (
            f"inertia, --scale {inertia.scale}, {inertia.n_clusters} clusters, above the best of {inertia.n_runs} runs"
        )
        lines.append(f"{what}: --fit users {inertia.users:+.2f} %, cells {inertia.cells:+.2f} %")
    for scale, steps in ((each.scale, each.steps) for each in results.cell_steps):
        what = f"step with 1 % changed, {steps.n_users:,} users, --fit cells --scale {scale}"
        lines.append(f"{what}: {step_summary(steps)}")
    return lines


def feature_lines(results: Results) -> list[str]:
    """Return one line for each measurement with five features."""
    lines = [
        f"five features, {found.n_users:,} users: {number(found.rate.median)} records/s,"
        f" {found.rate_over_totals.median:.2f} of those with two totals ({spread(found.rate_over_totals)});"
        f" {number(found.peak_mib.median)} MiB, two totals {number(found.peak_mib_of_totals.median)} MiB"
        for found in results.five_features
    ]
    steps = results.five_feature_steps
    if steps:
        what = f"step with 1 % changed, {steps.n_users:,} users, five features"
        lines.append(f"{what}: {step_summary(steps)}")
    return lines


def step_summary(steps: ChangedUsers) -> str:
    """Return the times of steps with 1 % of the users changed."""
    return (
        f"{number(steps.step_ms.median)} ms ({spread(steps.step_ms)}), of which the fit"
        f" {number(steps.fit_in_step_ms.median)}; KMeans.fit alone {number(steps.bare_fit_ms.median)};"
        f" {steps.n_changes.median:,.0f} labels written"
    )


def target_table(found: Sequence[Target]) -> list[str]:
    """Return the table of targets and measured values."""
    rows = [["verdict", "measurement", "target", "measured", "min - max", "unit"]]
    for each in found:
        limit = f"{'>=' if each.at_least else '<='} {number(each.wanted)}"
        measured = [number(each.measured.median), spread(each.measured)] if each.measured else ["-", "-"]
        rows.append([each.verdict, each.name, limit, *measured, each.unit])
    return [*columns(rows, (0, 1, 5)), overall(list(found))]


def report(results: Results, found: Sequence[Target]) -> str:
    """Return the whole report."""
    return "\n".join([*main_table(results), "", *further(results), "", *target_table(found)])
