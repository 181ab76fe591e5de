"""Compare numbers of clusters by silhouette and inertia: for --explore-k and -k auto.

The best number has the largest silhouette; of equal ones, the fewest clusters. Numbers above the count of distinct
totals are not compared, because users with equal totals would get different labels. A clustering whose silhouette
is shown as 0.000 or less separates nothing and is not chosen.

reports/elbow.py draws the comparison.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.clustering.model import RANDOM_STATE, ClusterFunction, n_distinct
from classifier.clustering.scaling import Weights
from classifier.formatting import format_count, format_users

COMPARED_K = range(2, 11)
FEWEST_USERS = 3  # that can be compared: two clusters, one of them with two users
MAX_SAMPLE = 10_000  # users; the silhouette takes time with their square: 10,000 take a second or two
MIN_SILHOUETTE = 0.0005  # smaller ones are shown as 0.000
FEW_USERS = 2_000  # compared in this process, within a second; for more, the two seconds to start another one pay off
FEW_GROUPED_USERS = 200  # the same with weights, where each fit has many runs
STOP_CHECK_SECONDS = 0.1
SEPARATES_NOTHING = "no number of clusters separates them"


class Fit(NamedTuple):
    """The scores of one number of clusters."""

    n_clusters: int
    silhouette: float  # -1 to 1, larger is better; NaN if the whole sample is in one cluster
    inertia: float


def compare(
    totals: NDArray[np.float64],
    cluster: ClusterFunction,
    go_on: Callable[[], bool],
    weights: Weights | None = None,
) -> list[Fit]:
    """Return the fits of `score_each`; an empty list once `go_on`, called ten times a second, returns False.

    With a million users this takes a minute or two. A thread cannot be stopped in the middle of a fit, so the fits run
    in a process that can be killed. `cluster` must be picklable.

    Raises
    ------
    ChildProcessError
        If the process ends early.
    """
    few = len(totals) <= FEW_USERS if weights is None else weights.sum() <= FEW_GROUPED_USERS
    if few:
        return list(score_each(totals, cluster, weights=weights))
    fits: list[Fit] = []
    with scoring_process(totals, cluster, weights) as results:
        while go_on():
            if not results.poll(STOP_CHECK_SECONDS):
                continue
            try:
                fit = results.recv()
            except EOFError:
                raise ChildProcessError("its process was killed, perhaps for lack of memory") from None
            if fit is None:
                return fits
            fits.append(fit)
    return []


@contextmanager
def scoring_process(
    totals: NDArray[np.float64], cluster: ClusterFunction, weights: Weights | None = None
) -> Iterator[Connection]:
    """Run `score_each` in a process; yield the connection that receives its fits and then None."""
    context = multiprocessing.get_context("spawn")
    results, sender = context.Pipe(duplex=False)
    process = context.Process(target=send_fits, args=(sender, totals, cluster, weights), daemon=True)
    # The process inherits the mask: Ctrl-C must reach only the client, which then kills the process.
    signals_before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals_before)
    sender.close()
    try:
        yield results
    finally:
        process.kill()
        process.join()
        results.close()


def send_fits(
    sender: Connection, totals: NDArray[np.float64], cluster: ClusterFunction, weights: Weights | None
) -> None:
    """Send each fit as soon as it is scored, and None after the last one."""
    for fit in score_each(totals, cluster, weights=weights):
        sender.send(fit)
    sender.send(None)


def score_each(
    totals: NDArray[np.float64],
    cluster: ClusterFunction,
    n_clusters: Iterable[int] = COMPARED_K,
    max_sample: int = MAX_SAMPLE,
    weights: Weights | None = None,
) -> Iterator[Fit]:
    """Fit and score each number of clusters that these users allow.

    Parameters
    ----------
    totals : ndarray of shape (n_users, n_features)
        As for `cluster`, in the units of the input.
    cluster : callable
        (totals, n_clusters) -> labels, inertia, and the scaling on which distances are measured.
    n_clusters : iterable of int
        In ascending order. Stops at n_users - 1, because the silhouette needs a cluster of two users, and at the
        number of distinct totals.
    max_sample : int
        Number of users for the silhouette. They are drawn once with a fixed seed: the same for every fit and run.
    weights : ndarray of shape (n_users,), optional
        How many users each row represents, by default one.

    Yields
    ------
    Fit

    Notes
    -----
    The silhouette uses the scaled totals without the one-hot part. One-hot encoding puts every user at the distance
    sqrt(2) from every other: that carries no information on who belongs together, and blurs the distances that do.

    References
    ----------
    Rousseeuw, P. J. (1987), "Silhouettes", J. Comput. Appl. Math. 20.
    """
    rng = np.random.default_rng(RANDOM_STATE)
    ends = np.cumsum(np.ones(len(totals), np.int64) if weights is None else weights)  # of the users of each row
    n_users = int(ends[-1])
    sampled_users = np.sort(rng.choice(n_users, min(n_users, max_sample), replace=False))
    sample = np.searchsorted(ends, sampled_users, "right")
    max_k = min(n_users - 1, n_distinct(totals, COMPARED_K[-1]))
    for k in n_clusters:
        if k > max_k:
            return
        found = cluster(totals, k, weights=weights)
        yield Fit(k, silhouette(found.scaling.points(totals[sample]), found.labels[sample]), found.inertia)


def silhouette(points: NDArray[np.float64], labels: NDArray[np.int32]) -> float:
    """Return the mean silhouette; NaN unless there are 2 to n_users - 1 labels."""
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(labels)) < len(labels):
        return float("nan")
    return float(silhouette_score(points, labels))


# The choice among the fits


def best_separating(fits: Sequence[Fit]) -> Fit | None:
    """Return the best fit; None if even that one separates nothing, or there is none."""
    if not fits:
        return None
    found = largest_silhouette(fits)
    return found if found.silhouette >= MIN_SILHOUETTE else None  # False for NaN


def largest_silhouette(fits: Sequence[Fit]) -> Fit:
    """Return the fit of the largest silhouette, of equal ones that of the fewest clusters; NaN counts as smallest."""
    return max(fits, key=lambda fit: (-2.0 if np.isnan(fit.silhouette) else fit.silhouette, -fit.n_clusters))


# Texts


def comparison_lines(
    fits: Sequence[Fit], n_users: int, suffix: str = "", max_sample: int = MAX_SAMPLE, noun: str = "total"
) -> list[str]:
    """Return the comparison as the lines of a table; ValueError if there are no fits.

    `suffix` names the scale, see `scale_suffix`; `noun` what users have, see `Settings.noun`.
    """
    if n_users < FEWEST_USERS:
        raise ValueError("too few users to compare numbers of clusters, at least 3 are needed; give a number: -k 3")
    if not fits:
        raise ValueError(f"{format_users(n_users)} with equal {noun}s: {SEPARATES_NOTHING}")
    best = best_separating(fits)
    sampled = f", silhouette of {max_sample:,} of them" if n_users > max_sample else ""
    lines = [f"{format_users(n_users)}{sampled}{suffix}", " k  silhouette     inertia"]
    for fit in fits:
        mark = "  best silhouette" if fit is best else ""
        lines.append(f"{fit.n_clusters:>2}  {fit.silhouette:>10.3f}  {fit.inertia:>10.3g}{mark}")
    return lines if best else [*lines, SEPARATES_NOTHING]


def omitted_note(totals: NDArray[np.float64], n_users: int | None = None, noun: str = "total") -> str | None:
    """Return why larger numbers were not compared: too few distinct totals; None if they all were.

    `n_users` is the number of rows by default.
    """
    n_totals = n_distinct(totals, COMPARED_K[-1])
    if n_users is None:
        n_users = len(totals)
    if n_totals >= min(n_users - 1, COMPARED_K[-1]):
        return None
    return f"{format_count(n_totals, f'distinct {noun}')}: more clusters would split users with equal {noun}s"


def equal_users_note(
    totals: NDArray[np.float64], n_clusters: int, *, one_hot: bool, n_users: int | None = None, noun: str = "total"
) -> str | None:
    """Return a warning if users have fewer distinct totals than there are clusters, else None.

    `n_users` is the number of rows by default.
    """
    if n_users is None:
        n_users = len(totals)
    n_totals = n_distinct(totals, n_clusters)
    if n_users < n_clusters or n_totals >= n_clusters:  # fewer users than clusters all get label 0
        return None
    consequence = f"users with equal {noun}s get different labels" if one_hot else "the other labels stay unused"
    return (
        f"{format_users(n_users)} with {format_count(n_totals, f'distinct {noun}')}, fewer than the {n_clusters}"
        f" clusters: {consequence}; choose fewer clusters: -k {n_totals}"
    )
