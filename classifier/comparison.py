"""The comparison of numbers of clusters, beside a client that stays alive and can be stopped (-k auto, --explore-k)."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from classifier.clusters import Cluster
from classifier.exploration import Fit, explore
from classifier.scaling import Weights

FEW_USERS = 2_000  # compared within a second; more are worth the two seconds in which a process starts
FEW_IN_CELLS = 200  # the same, with many runs each
WATCH_SECONDS = 0.1


def compare(
    totals: NDArray[np.float64],
    cluster: Cluster,
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
    if len(totals) <= FEW_USERS if weights is None else weights.sum() <= FEW_IN_CELLS:
        return list(explore(totals, cluster, weights=weights))
    fits: list[Fit] = []
    with in_a_process(totals, cluster, weights) as results:
        while go_on():
            if not results.poll(WATCH_SECONDS):
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
def in_a_process(totals: NDArray[np.float64], cluster: Cluster, weights: Weights | None = None) -> Iterator[Connection]:
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


def send_fits(sender: Connection, totals: NDArray[np.float64], cluster: Cluster, weights: Weights | None) -> None:
    """Send each fit as it comes, and None at the end."""
    for fit in explore(totals, cluster, weights=weights):
        sender.send(fit)
    sender.send(None)
