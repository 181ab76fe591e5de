"""Three plots of the results, in the colours of Okabe and Ito, which colour-blind readers can distinguish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter

from benchmarks.measures.latency import Latency
from benchmarks.program_runs import AVRO, BYTEWAX, LIMIT, OURS, QUIX
from benchmarks.results import Results
from benchmarks.summary import Summary
from benchmarks.targets import BATCH_INTERVAL_SECONDS

SIZE_INCHES = (7.5, 4.8)
DOTS_PER_INCH = 120
ORIGINAL = "original"
STYLES = {
    LIMIT: ("#000000", "s", "--"),
    OURS: ("#0072B2", "o", "-"),
    BYTEWAX: ("#E69F00", "^", "-"),
    AVRO: ("#009E73", "D", "-"),
    QUIX: ("#CC79A7", "v", "-"),
    ORIGINAL: ("#D55E00", "X", "-"),
}
FIT = "#E69F00"
LARGE_STEP = "#56B4E9"


def draw_all(results: Results, directory: Path) -> list[Path]:
    """Draw a plot for each kind of result; return the paths."""
    drawn = []
    if results.programs:
        drawn.append(draw(throughput, results, directory / "throughput.png"))
    if results.one_record or results.changed_users:
        drawn.append(draw(steps, results, directory / "steps.png"))
    if results.latency:
        drawn.append(draw(latency, results, directory / "latency.png"))
    return drawn


def draw(plot: Any, results: Results, path: Path) -> Path:
    """Draw one plot into a file; return its path."""
    figure, axes = plt.subplots(figsize=SIZE_INCHES, layout="constrained")
    plot(results, axes)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(plain))
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})
    plt.close(figure)
    return path


def plain(value: float, _: object) -> str:
    """Return a number with thousands separators and without an exponent."""
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def curve(axes: Any, users: list[int], values: list[Summary], label: str, style: tuple[str, str, str]) -> None:
    """Draw medians over numbers of users, with error bars from minimum to maximum; nothing without values."""
    if not users:
        return
    colour, marker, line = style
    medians = [value.median for value in values]
    below = [value.median - value.min for value in values]
    above = [value.max - value.median for value in values]
    axes.errorbar(
        users, medians, (below, above), label=label, color=colour, marker=marker, linestyle=line,
        markersize=6, linewidth=1.6, capsize=3,
    )  # fmt: skip


def throughput(results: Results, axes: Any) -> None:
    """Plot records per second over numbers of users."""
    for name in (LIMIT, OURS, BYTEWAX, AVRO, QUIX):
        found = [results.runs_of(name, n_users) for n_users in results.user_counts()]
        measured = [runs for runs in found if runs is not None]
        curve(axes, [runs.n_users for runs in measured], [runs.rate for runs in measured], name, STYLES[name])
    original = [(each.n_users, each.original.records_per_second) for each in results.one_record if each.original]
    rates = [Summary(rate, rate, rate, 1) for _, rate in original]
    curve(axes, [n_users for n_users, _ in original], rates, ORIGINAL, STYLES[ORIGINAL])
    axes.set(xscale="log", yscale="log", xlabel="users", ylabel="records per second")
    axes.set_title("Catch-up: records per second, whole process, median and range", loc="left")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def steps(results: Results, axes: Any) -> None:
    """Plot milliseconds of a step over numbers of users."""
    one = results.one_record
    users = [each.n_users for each in one]
    curve(axes, users, [each.client_cycle_ms for each in one], "user_classifier,\none record", STYLES[OURS])
    timed = [(each.n_users, each.original.step_ms) for each in one if each.original]
    curve(axes, [n for n, _ in timed], [ms for _, ms in timed], "original,\none record", STYLES[ORIGINAL])
    many = results.changed_users
    users = [each.n_users for each in many]
    curve(axes, users, [each.step_ms for each in many], "user_classifier,\n1 % of users", (LARGE_STEP, "o", "-"))
    curve(axes, users, [each.bare_fit_ms for each in many], "bare KMeans.fit", (FIT, "P", ":"))
    axes.set(xscale="log", yscale="log", xlabel="users", ylabel="milliseconds")
    axes.set_title("One step: fit, changed labels, one transaction; median and range", loc="left")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def latency(results: Results, axes: Any) -> None:
    """Plot a histogram of the time from record to label."""
    found = results.latency
    if not isinstance(found, Latency):
        return
    starts = [number * found.bin_seconds for number in range(len(found.bins))]
    axes.bar(starts, found.bins, width=found.bin_seconds, align="edge", color=STYLES[OURS][0], edgecolor="white")
    for name, value, line in (("median", found.median, "-"), ("p99", found.p99, "--")):
        axes.axvline(value, color="#D55E00", linestyle=line, linewidth=1.6, label=f"{name} {value:.2f} s")
    axes.axvline(BATCH_INTERVAL_SECONDS, color="#000000", linestyle=":", linewidth=1.6, label="batch interval")
    axes.set(xlabel="seconds from record to label readable", ylabel="labels", xlim=(0, None))
    axes.set_title(f"Latency at 1,000 records/s and {found.n_users:,} users", loc="left")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
