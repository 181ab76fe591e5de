"""How many clusters? Silhouette and inertia for each number; the picture of them is in reports/elbow.py.

Rule of choice: the largest silhouette, of equal ones the fewest clusters. A number larger than that of different totals
is not compared, since users with equal totals would have to be torn apart; nor is a clustering chosen whose silhouette
shows as 0.000 or less: it separates nothing.
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

N_CLUSTERS = range(2, 11)
MAX_SAMPLE = 10_000  # users; the silhouette takes time with their square, 10,000 a second or two
SEPARATES = 0.0005  # silhouettes below are shown as 0.000
SEPARATES_NOTHING = "no number of clusters separates them"


class Fit(NamedTuple):
    """How well one number of clusters does."""

    n_clusters: int
    silhouette: float  # -1 to 1, larger is better; NaN if the sample lies in one cluster
    inertia: float


def score_each(
    totals: NDArray[np.float64],
    cluster: ClusterFunction,
    n_clusters: Iterable[int] = N_CLUSTERS,
    max_sample: int = MAX_SAMPLE,
    weights: Weights | None = None,
) -> Iterator[Fit]:
    """Fit every number of clusters that the users allow.

    Parameters
    ----------
    totals : ndarray of shape (n_users, 2)
        As for `cluster`: total_amount in the currency of the input, num_transactions as a count.
    cluster : callable
        Fits: (totals, n_clusters) -> labels, inertia, and the scale on which distances are measured.
    n_clusters : iterable of int
        Numbers as large as n_users or larger are left out: the silhouette needs a cluster of two users. So are those
        larger than the number of different totals.
    max_sample : int
        Users of whom the silhouette is taken, drawn once with a fixed seed: the same for every fit and every run.
    weights : ndarray of shape (n_users,), optional
        How many users each row stands for, one by default.

    Yields
    ------
    Fit

    Notes
    -----
    The silhouette is taken of the totals alone, on their scale. One-hot encoding puts every user sqrt(2) from every
    other: that says nothing about who belongs together, and only blurs the distances that do.

    References
    ----------
    Rousseeuw, P. J. (1987), "Silhouettes", J. Comput. Appl. Math. 20.
    """
    rng = np.random.default_rng(RANDOM_STATE)
    until = np.cumsum(np.ones(len(totals), np.int64) if weights is None else weights)
    n_users = int(until[-1])
    sample = np.searchsorted(until, np.sort(rng.choice(n_users, min(n_users, max_sample), replace=False)), "right")
    most = min(n_users - 1, n_distinct(totals, N_CLUSTERS[-1]))
    for k in n_clusters:
        if k > most:
            return
        found = cluster(totals, k, weights=weights)
        yield Fit(k, silhouette(found.scaling.points(totals[sample]), found.labels[sample]), found.inertia)


def equal_users_note(
    totals: NDArray[np.float64], n_clusters: int, *, one_hot: bool, n_users: int | None = None
) -> str | None:
    """Say so where users, one for each row unless told, have fewer different totals than there are clusters."""
    n_users, n_totals = len(totals) if n_users is None else n_users, n_distinct(totals, n_clusters)
    if n_users < n_clusters or n_totals >= n_clusters:  # fewer users are all labelled 0
        return None
    follows = "equal users get different labels" if one_hot else "there are no more labels than that"
    return (
        f"{format_users(n_users)} with {format_count(n_totals, 'different total')},"
        f" fewer than the {n_clusters} clusters: {follows};"
        f" choose fewer clusters: -k {n_totals}"
    )


def omitted_note(totals: NDArray[np.float64], n_users: int | None = None) -> str | None:
    """Say so where numbers of clusters are not compared because too many users are equal."""
    n_totals = n_distinct(totals, N_CLUSTERS[-1])
    if n_totals >= min((len(totals) if n_users is None else n_users) - 1, N_CLUSTERS[-1]):
        return None
    return f"{format_count(n_totals, 'different total')}: more clusters would tear equal users apart"


def silhouette(totals: NDArray[np.float64], labels: NDArray[np.int32]) -> float:
    """Return the mean silhouette; NaN unless there are 2 to n_users - 1 labels."""
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(labels)) < len(labels):
        return float("nan")
    return float(silhouette_score(totals, labels))


def largest_silhouette(fits: Sequence[Fit]) -> Fit:
    """Return the fit of the largest silhouette, of the fewest clusters among equals; one without silhouette last.

    Raises
    ------
    ValueError
        If there is none to choose from.
    """
    if not fits:
        raise ValueError("too few users to compare numbers of clusters, at least 3 are needed; give a number: -k 3")
    return max(fits, key=lambda fit: (-2.0 if np.isnan(fit.silhouette) else fit.silhouette, -fit.n_clusters))


def best_separating(fits: Sequence[Fit]) -> Fit | None:
    """Return the best fit; None where even that one separates nothing."""
    found = largest_silhouette(fits) if fits else None
    return found if found and found.silhouette >= SEPARATES else None  # NaN is not


def comparison_lines(fits: Sequence[Fit], n_users: int, how: str = "", max_sample: int = MAX_SAMPLE) -> list[str]:
    """Return the comparison as the lines of a table, `how` being the scale; ValueError where there is none."""
    if n_users > 2 and not fits:
        raise ValueError(f"{format_users(n_users)} with equal totals: {SEPARATES_NOTHING}")
    chosen = best_separating(fits) if fits else largest_silhouette(fits)
    sampled = f", silhouette of {max_sample:,} of them" if n_users > max_sample else ""
    lines = [f"{format_users(n_users)}{sampled}{how}", " k  silhouette     inertia"]
    for fit in fits:
        mark = "  best silhouette" if fit is chosen else ""
        lines.append(f"{fit.n_clusters:>2}  {fit.silhouette:>10.3f}  {fit.inertia:>10.3g}{mark}")
    return lines if chosen else [*lines, SEPARATES_NOTHING]


FEW_USERS = 2_000  # compared within a second; more are worth the two seconds in which a process starts
FEW_GROUPED_USERS = 200  # the same, with many runs each
STOP_CHECK_SECONDS = 0.1


def compare(
    totals: NDArray[np.float64],
    cluster: ClusterFunction,
    go_on: Callable[[], bool],
    weights: Weights | None = None,
) -> list[Fit]:
    """Fit and score as `explore` does; nothing once `go_on`, asked ten times a second, says no.

    With a million users this takes a minute or two. A thread could not be ended in the middle of a fit, neither by
    itself nor together with the program: hence a process. `cluster` must be known by name in its module.

    Raises
    ------
    ChildProcessError
        If the process ends before its work.
    """
    if len(totals) <= FEW_USERS if weights is None else weights.sum() <= FEW_GROUPED_USERS:
        return list(score_each(totals, cluster, weights=weights))
    fits: list[Fit] = []
    with scoring_process(totals, cluster, weights) as results:
        while go_on():
            if not results.poll(STOP_CHECK_SECONDS):
                continue
            try:
                fit = results.recv()
            except EOFError:
                raise ChildProcessError("its process was ended, perhaps for lack of memory") from None
            if fit is None:
                return fits
            fits.append(fit)
    return []


@contextmanager
def scoring_process(
    totals: NDArray[np.float64], cluster: ClusterFunction, weights: Weights | None = None
) -> Iterator[Connection]:
    """Compare in a process of its own; yield where its results arrive, None being the last."""
    context = multiprocessing.get_context("spawn")
    results, sender = context.Pipe(duplex=False)
    process = context.Process(target=send_fits, args=(sender, totals, cluster, weights), daemon=True)
    signals = {signal.SIGINT, signal.SIGTERM}
    known = signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # inherited: Ctrl-C is for us to pass on
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, known)
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
    """Send each fit as it comes, and None at the end."""
    for fit in score_each(totals, cluster, weights=weights):
        sender.send(fit)
    sender.send(None)
