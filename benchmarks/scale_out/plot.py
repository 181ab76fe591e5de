"""A plot of the simulation: cells and labels, state and cores, and the client's part, over the number of users."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.scale_out.simulation import Simulated

SIZE_INCHES = (12.0, 3.8)
DOTS_PER_INCH = 120
STYLES = {"seed": ("#0072B2", "o"), "lognormal": ("#E69F00", "s"), "pareto": ("#009E73", "^")}
Measure = Callable[[Simulated], float]
PANELS: tuple[tuple[str, tuple[tuple[str, Measure, str], ...]], ...] = (
    ("cells", (("occupied", lambda each: each.n_cells, "-"), ("labelled", lambda each: each.n_labels, "--"))),
    ("statement 4", (("state, GB", lambda each: each.state_gb, "-"), ("cores", lambda each: each.cores / 2, "--"))),
    (
        "client",
        (
            ("fit, s", lambda each: each.client.fit_seconds, "-"),
            ("GiB", lambda each: each.client.peak_mib / 1024, "--"),
        ),
    ),
)


def draw(found: list[Simulated], path: Path) -> None:
    """Draw three panels on logarithmic axes."""
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    for axes, (title, measures) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        for label, measure, line in measures:
            draw_lines(axes, found, label, measure, line)
        axes.set(title=title, xlabel="users", xscale="log", yscale="log")
        axes.grid(color="#DDDDDD", linewidth=0.8)
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def draw_lines(axes: Axes, found: list[Simulated], label: str, measure: Measure, line: str) -> None:
    """Draw one line for each population."""
    for name, (colour, marker) in STYLES.items():
        mine = [each for each in found if each.population == name]
        values = [measure(each) for each in mine]
        axes.plot([each.n_users for each in mine], values, line, color=colour, marker=marker, label=f"{name}: {label}")
