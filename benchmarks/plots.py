"""Three pictures of one run, in Okabe and Ito's colours, which colour-blind readers tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter

from benchmarks.line import AVRO, BYTEWAX, LIMIT, OURS, QUIX
from benchmarks.measures.latency import Latency
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
FIT, LARGE_STEP = "#E69F00", "#56B4E9"


def draw_all(results: Results, directory: Path) -> list[Path]:
    """Draw what was measured; return the files."""
    drawn = []
    if results.lines:
        drawn.append(draw(throughput, results, directory / "throughput.png"))
    if results.one_record or results.changed_users:
        drawn.append(draw(steps, results, directory / "steps.png"))
    if results.latency:
        drawn.append(draw(latency, results, directory / "latency.png"))
    return drawn


def draw(how: Any, results: Results, path: Path) -> Path:
    """One picture in one file."""
    figure, axes = plt.subplots(figsize=SIZE_INCHES, layout="constrained")
    how(results, axes)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(plain))
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})
    plt.close(figure)
    return path


def plain(value: float, _: object) -> str:
    """A number as people write it."""
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def curve(axes: Any, users: list[int], values: list[Summary], label: str, style: tuple[str, str, str]) -> None:
    """Medians over users, with the range from least to greatest; nothing where nothing was measured."""
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
    """Records per second over users."""
    for name in (LIMIT, OURS, BYTEWAX, AVRO, QUIX):
        lines = [line for n_users in results.user_counts() if (line := results.line(name, n_users))]
        curve(axes, [each.n_users for each in lines], [each.rate for each in lines], name, STYLES[name])
    original = [each for each in results.one_record if each.original]
    rates = [each.original.records_per_second for each in original if each.original]
    users = [each.n_users for each in original]
    curve(axes, users, [Summary(rate, rate, rate, 1) for rate in rates], ORIGINAL, STYLES[ORIGINAL])
    axes.set(xscale="log", yscale="log", xlabel="users", ylabel="records per second")
    axes.set_title("Catch-up: records per second, whole process, median and range", loc="left")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def steps(results: Results, axes: Any) -> None:
    """Milliseconds of a step over users."""
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
    """How long labels took."""
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
