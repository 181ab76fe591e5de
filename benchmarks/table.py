"""What is printed: one table of all lines, the further measures, the targets."""

from __future__ import annotations

from collections.abc import Container, Sequence

from benchmarks.line import AVRO, BYTEWAX, LIMIT, OURS, QUIX, Line
from benchmarks.results import Results
from benchmarks.summary import Summary
from benchmarks.targets import Target, overall, rate_ratio

HEAD = ("users", "records", "line", "records/s", "min - max", "client /", "CPU s/M", "peak MiB", "runs", "table")
NOTES = {
    LIMIT: "consume() alone, counts records",
    OURS: "as shipped, until every label is committed, whole process",
    AVRO: "plain confluent-kafka loop, last row added per user; no fit, no labels, no retractions, no offsets",
    QUIX: "last row added per user. Cannot: fit on the whole table (state is per key and partition); retract rows that"
    " lie in other partitions, unless each record goes through a topic keyed by user first. Not used: its exactly once",
    BYTEWAX: "last row added per user. Cannot: exactly once into Kafka (no transactions; offsets in its own store);"
    " fit on the whole table with more than one worker",
    "original": "one step per record; the records before every user is known are not counted, nor is its start",
}
OLD_ROWS = (
    "old rows: share of users whose last row is not their current one; a row's partition depends on its whole value"
)


def columns(rows: Sequence[Sequence[str]], texts: Container[int]) -> list[str]:
    """Lines with aligned columns: texts to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if at in texts else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(summary: Summary) -> str:
    """From the least to the greatest."""
    return f"{number(summary.min)} - {number(summary.max)}"


def line_cells(results: Results, line: Line) -> list[str]:
    """One row of the table."""
    start = [f"{line.n_users:,}", f"{line.n_records:,}", line.name]
    if not line.usages:
        return [*start, "-", "-", "-", "-", "-", "0", line.error.splitlines()[0][:60]]
    ratio = "-" if line.name == OURS else ratio_cell(rate_ratio(results, line.name, line.n_users, line.n_records))
    right = f"{100 * max(line.old_rows):.0f} % old rows" if line.old_rows else "right"
    numbers = [number(line.rate.median), spread(line.rate), ratio, number(line.cpu.median), number(line.peak.median)]
    return [*start, *numbers, str(line.rate.n), line.error.splitlines()[0][:60] if line.error else right]


def ratio_cell(ratio: Summary | None) -> str:
    """The client's rate over this line's."""
    return "-" if ratio is None else f"{ratio.median:.2f}"


def original_cells(results: Results) -> list[list[str]]:
    """The original's rows: its steps are its records."""
    rows = []
    for each in results.one_record:
        start, run = [f"{each.n_users:,}", "-", "original"], each.original
        if run is None:
            rows.append([*start, "-", "-", "-", "-", "-", "0", each.error.splitlines()[0][:60]])
            continue
        ends = f"{number(1000 / run.step_ms.max)} - {number(1000 / run.step_ms.min)}"
        usage = [number(run.cpu_seconds_per_million), number(run.peak_mib), f"{run.step_ms.n} steps"]
        rows.append([*start, number(run.records_per_second), ends, "-", *usage, "all users out"])
    return rows


def main_table(results: Results) -> list[str]:
    """All lines by number of users, and what each is."""
    lines = sorted(results.lines, key=lambda line: (line.n_users, line.n_records))
    rows = [list(HEAD), *(line_cells(results, line) for line in lines), *original_cells(results)]
    names = [name for name in NOTES if any(row[2] == name for row in rows)]
    return [*columns(rows, (2, 9)), "", *(f"{name}: {NOTES[name]}" for name in names), OLD_ROWS]


def further(results: Results) -> list[str]:
    """Steps, restarts and latency in one line each."""
    lines = []
    for one in results.one_record:
        original = f", original {number(one.original.step_ms.median)} ms" if one.original else ""
        lines.append(
            f"step of one record, {one.n_users:,} users: {number(one.client_cycle_ms.median)} ms"
            f" ({spread(one.client_cycle_ms)}; fit and commit {number(one.client_step_ms.median)}){original}"
        )
    for many in results.changed_users:
        lines.append(
            f"step with 1 % changed, {many.n_users:,} users: {number(many.step_ms.median)} ms ({spread(many.step_ms)}),"
            f" KMeans.fit in it {number(many.fit_in_step_ms.median)}, bare {number(many.bare_fit_ms.median)};"
            f" {many.n_changes.median:,.0f} labels written"
        )
    lines += segment_lines(results)
    if results.restart:
        seconds, peak = results.restart.first_label_seconds, results.restart.peak_mib
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
    """Labels that moved, inertia and steps on cells."""
    lines = []
    for moves in results.segments.moves if results.segments else []:
        what = f"customers moved a step, --scale {moves.scale} --fit {moves.fit}, {moves.n_clusters} clusters"
        lines.append(f"{what}: {number(moves.percent.median)} % ({spread(moves.percent)})")
    for inertia in results.segments.inertias if results.segments else []:
        what = f"inertia, --scale {inertia.scale}, {inertia.n_clusters} clusters, to the best of {inertia.n_runs} runs"
        lines.append(f"{what}: --fit users {inertia.users:+.2f} %, cells {inertia.cells:+.2f} %")
    for scale, steps in ((each.scale, each.steps) for each in results.cell_steps):
        what = f"step with 1 % changed, {steps.n_users:,} users, --fit cells --scale {scale}"
        took = f"{number(steps.step_ms.median)} ms ({spread(steps.step_ms)})"
        fits = f"fit in it {number(steps.fit_in_step_ms.median)}, bare KMeans.fit {number(steps.bare_fit_ms.median)}"
        lines.append(f"{what}: {took}, {fits}; {steps.n_changes.median:,.0f} labels written")
    return lines


def target_table(found: Sequence[Target]) -> list[str]:
    """Each target with what was measured."""
    rows = [["verdict", "target", "wanted", "measured", "min - max", "unit"]]
    for each in found:
        wanted = f"{'>=' if each.at_least else '<='} {number(each.wanted)}"
        measured = [number(each.measured.median), spread(each.measured)] if each.measured else ["-", "-"]
        rows.append([each.verdict, each.name, wanted, *measured, each.unit])
    return [*columns(rows, (0, 1, 5)), overall(list(found))]


def report(results: Results, found: Sequence[Target]) -> str:
    """All that is printed at the end."""
    return "\n".join([*main_table(results), "", *further(results), "", *target_table(found)])
