"""A picture of silhouette and inertia for each number of clusters."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from classifier.clustering.compare_k import SEPARATES_NOTHING, Fit, best_separating
from classifier.formatting import format_users
from classifier.reports.plot import COLOURS, SIZE_INCHES, colour_of, short


def draw(fits: Sequence[Fit], n_users: int, suffix: str = "") -> Figure:
    """Draw inertia and silhouette side by side, with the best number marked; `suffix` names the scale."""
    figure = Figure(figsize=(SIZE_INCHES[0], 0.7 * SIZE_INCHES[1]), layout="constrained")
    elbow, score = figure.subplots(1, 2)
    chosen = best_separating(fits)
    draw_curve(elbow, fits, [fit.inertia for fit in fits], chosen)
    elbow.set(title="elbow: after a bend, more clusters gain little", ylabel="inertia")
    elbow.set_ylim(bottom=0)
    elbow.yaxis.set_major_formatter(FuncFormatter(lambda value, position: short(value)))
    draw_curve(score, fits, [fit.silhouette for fit in fits], chosen)
    score.set(title="silhouette: the largest is best", ylabel="mean silhouette (-1 to 1)")
    result = f"best silhouette: {chosen.n_clusters} clusters" if chosen else SEPARATES_NOTHING
    figure.suptitle(f"{format_users(n_users)}{suffix}; {result}")
    return figure


def draw_curve(axes: Axes, fits: Sequence[Fit], values: Sequence[float], chosen: Fit | None) -> None:
    """Draw one value for each number of clusters."""
    axes.plot([fit.n_clusters for fit in fits], values, marker="o", color=colour_of(0))
    if chosen:
        axes.axvline(chosen.n_clusters, color=COLOURS[5], linestyle="--")
    axes.set_xlabel("number of clusters (-k)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
