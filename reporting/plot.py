"""The clusters as a picture: total_amount against num_transactions, a colour per label."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

REDRAW_SECONDS = 10.0  # drawing a million users takes a second of the client's time
MAX_DOTS = 5_000  # users drawn as dots each; beyond that a label is drawn as density
# Okabe and Ito's colours, told apart by colour-blind readers too; more labels than colours start again.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#666666")


class Users(Protocol):
    """What is drawn of a user table."""

    @property
    def totals(self) -> NDArray[np.float64]: ...
    @property
    def labels(self) -> NDArray[np.int32]: ...


class ClusterPlot:
    """Redraws one file after a step, at most every `REDRAW_SECONDS`, and once more at the end."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._drawn_at: float | None = None
        self._waiting: tuple[Users, NDArray[np.float64]] | None = None

    def step(self, users: Users, centers: NDArray[np.float64]) -> None:
        """Take the result of a step."""
        self._waiting = users, centers
        if self._drawn_at is None or self._clock() - self._drawn_at >= REDRAW_SECONDS:
            self.finish()

    def finish(self) -> None:
        """Draw what has not been drawn yet."""
        if self._waiting is not None:
            users, centers = self._waiting
            draw(self._path, users.totals, users.labels, centers)
            self._drawn_at, self._waiting = self._clock(), None


def draw(path: Path, totals: NDArray[np.float64], labels: NDArray[np.int32], centers: NDArray[np.float64]) -> None:
    """Draw the clusters to `path`; its ending chooses the format.

    Parameters
    ----------
    path : Path
        Written beside itself first and then moved, so that a reader never sees half a picture.
    totals : ndarray of shape (n_users, 2)
        total_amount in the currency of the input, num_transactions as a count.
    labels : ndarray of shape (n_users,)
    centers : ndarray of shape (n_clusters, 2)
    """
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    for label in range(len(centers)):
        draw_label(axes, totals[labels == label], label, len(totals))
    axes.scatter(
        centers[:, 0], centers[:, 1], marker="X", s=160, c="black", edgecolors="white", label="centres", zorder=3
    )
    axes.set_xlabel("total_amount")
    axes.set_ylabel("num_transactions")
    axes.set_title(f"{len(totals):,} users, {time.strftime('%Y-%m-%d %H:%M:%S')}")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", framealpha=0.9)
    part = path.with_name(f".part-{path.name}")
    figure.savefig(part, dpi=120)
    part.replace(path)


def draw_label(axes: Axes, totals: NDArray[np.float64], label: int, n_users: int) -> None:
    """Draw the users of one label: dots while they are few, else density."""
    colour = COLOURS[label % len(COLOURS)]
    name = f"label {label}: {len(totals):,} users"
    if n_users <= MAX_DOTS:
        axes.scatter(totals[:, 0], totals[:, 1], s=30, c=colour, alpha=0.8, label=name)
        return
    fade = mpl.colors.LinearSegmentedColormap.from_list(name, [f"{colour}30", colour])
    axes.hexbin(totals[:, 0], totals[:, 1], gridsize=120, bins="log", mincnt=1, cmap=fade, linewidths=0)
    axes.scatter([], [], c=colour, label=name)
