"""Numbers of clusters compared in a separate process: the same result, and it ends on request."""

import functools
import itertools
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.clustering import compare_k
from classifier.clustering.compare_k import FEW_GROUPED_USERS, FEW_USERS, compare, score_each
from classifier.clustering.model import Clusters
from user_classifier import cluster

CLUSTER = functools.partial(cluster, n_init="auto")


def users(n_users: int) -> NDArray[np.float64]:
    """Users in no particular order."""
    return np.random.default_rng(n_users).lognormal(3, 1, (n_users, 2))


def ends(totals: NDArray[np.float64], n_clusters: int, **_: object) -> Clusters:
    """Kill the process, as the kernel does for lack of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def sleeps(totals: NDArray[np.float64], n_clusters: int, **_: object) -> Clusters:
    """A fit that takes very long."""
    time.sleep(600)
    raise AssertionError


def test_a_process_finds_the_same() -> None:
    totals = users(FEW_USERS + 1)
    calls = itertools.count()
    assert compare(totals, CLUSTER, lambda: next(calls) >= 0) == list(score_each(totals, cluster))
    assert next(calls) > 9, "called throughout"
    assert multiprocessing.active_children() == []


def test_few_users_are_compared_without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(compare_k, "scoring_process")
    assert [fit.n_clusters for fit in compare(users(20), CLUSTER, lambda: True)] == list(range(2, 11))


def test_a_process_finds_the_same_with_weights() -> None:
    totals, weights = users(FEW_GROUPED_USERS + 1), 1 + np.arange(FEW_GROUPED_USERS + 1) % 3
    cluster_groups = functools.partial(cluster, n_init=3, scale="log", fit="cells")
    calls = itertools.count()
    found = compare(totals, cluster_groups, lambda: next(calls) >= 0, weights)
    assert found == list(score_each(totals, cluster_groups, weights=weights))
    assert next(calls) > 9, "called throughout"


def test_few_grouped_users_are_compared_without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The silhouette takes time by the number of users, however few the groups."""
    monkeypatch.delattr(compare_k, "scoring_process")
    weights = np.full(20, FEW_GROUPED_USERS // 20)
    assert compare(users(20), CLUSTER, lambda: True, weights)
    weights[0] += 1
    with pytest.raises(NameError):
        compare(users(20), CLUSTER, lambda: True, weights)


@pytest.mark.parametrize("weights", [None, np.ones(FEW_USERS + 1, np.int64)], ids=["users", "groups"])
def test_a_stop_ends_it_immediately(weights: NDArray[np.int64] | None) -> None:
    began = time.monotonic()
    assert compare(users(FEW_USERS + 1), sleeps, lambda: time.monotonic() < began + 0.3, weights) == []
    assert time.monotonic() - began < 30
    assert multiprocessing.active_children() == []


def test_a_process_that_is_killed() -> None:
    with pytest.raises(ChildProcessError, match="for lack of memory"):
        compare(users(FEW_USERS + 1), ends, lambda: True)


def test_signals_are_unblocked_afterwards() -> None:
    with compare_k.scoring_process(users(3), sleeps):
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
