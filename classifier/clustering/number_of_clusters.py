"""The number of clusters: the one given by -k, or with `-k auto` the one of the best silhouette, chosen once and kept.

While no number separates the users (too few, or all with equal totals: see `compare_k`), all users get label 0 and
each step tries to choose again.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.clustering.compare_k import (
    FEWEST_USERS,
    SEPARATES_NOTHING,
    Fit,
    best_separating,
    compare,
    comparison_lines,
    equal_users_note,
)
from classifier.clustering.grouping import Groups, coarsened, group_users
from classifier.clustering.model import ClusterFunction, n_distinct
from classifier.clustering.scaling import Weights, scale_suffix
from classifier.config.settings import Settings
from classifier.errors import ClassifierError, ConfigError
from classifier.formatting import format_users
from classifier.label_names import label_names_from

log = logging.getLogger("user_classifier")


class Chosen(NamedTuple):
    """The choice of -k auto."""

    n_clusters: int
    scale: str = "none"


class NumberOfClusters:
    """The number of clusters of a run.

    `value` is None until -k auto has chosen: at the first end of the input, or earlier if a transaction is full.
    """

    def __init__(self, settings: Settings, cluster: ClusterFunction, go_on: Callable[[], bool]) -> None:
        self._settings = settings
        self._cluster = cluster
        self._go_on = go_on
        self.value = None if settings.auto_k else int(settings.n_clusters)
        self._warned_of_no_choice = False
        self._warned_of_equal_users = False

    @property
    def to_fit(self) -> int:
        """The number to fit with: 1 while -k auto could not choose yet."""
        return self.value or 1

    @property
    def to_keep(self) -> Chosen | None:
        """The choice of -k auto to commit with the offsets; None with a given -k, or before the choice."""
        return Chosen(self.value, self._settings.scale) if self.value and self._settings.auto_k else None

    def recall(self, before: Chosen | None) -> None:
        """Use the choice that -k auto made at an earlier start, if it was made on the same scale."""
        if self.value is not None or before is None:
            return
        n_clusters, scale = before
        if scale != self._settings.scale:
            message = "-k auto: %d clusters were chosen with --scale %s; choosing again with --scale %s"
            log.info(message, n_clusters, scale, self._settings.scale)
            return
        self._set(n_clusters)
        log.info("-k auto: %d clusters, chosen at an earlier start", n_clusters)

    def choose(self, totals: NDArray[np.float64], weights: Weights | None = None) -> bool:
        """With -k auto, choose unless a choice was made; return False if a signal interrupted it.

        If no number separates the users, `value` stays None: all get label 0, and each further step tries again.
        `weights` holds how many users each row of totals represents, by default one.
        """
        n_users = number_of_users(totals, weights)
        if self.value is None:
            fits = self.compare(totals, weights)
            chosen = best_separating(fits)
            if chosen:
                for line in comparison_lines(fits, n_users, scale_suffix(self._settings.scale)):
                    log.info(line)
                self._set(chosen.n_clusters)
                log.info("-k auto: %d clusters; kept until -k is a number", self.value)
            elif n_users >= FEWEST_USERS and not self._warned_of_no_choice and self._go_on():
                self._warned_of_no_choice = True
                log.warning("-k auto: %s: %s; all get label 0 until one does", format_users(n_users), SEPARATES_NOTHING)
        return self.value is not None or self._go_on()

    def warn_of_equal_users(self, totals: NDArray[np.float64], weights: Weights | None = None) -> None:
        """Warn if there are more clusters than distinct totals; again only after a step without this condition."""
        note = None
        if self.value:
            n_users = number_of_users(totals, weights)
            settings = self._settings
            note = equal_users_note(totals, self.value, one_hot=settings.one_hot, n_users=n_users, noun=settings.noun)
        if note and not self._warned_of_equal_users:
            log.warning(note)
        self._warned_of_equal_users = note is not None

    def compare(self, totals: NDArray[np.float64], weights: Weights | None = None) -> list[Fit]:
        """Fit and score each number of clusters; none if users are too few or all equal, or a signal came."""
        n_users = number_of_users(totals, weights)
        if n_users < FEWEST_USERS or n_distinct(totals, 2) < 2:
            return []
        log.info("comparing 2 to 10 clusters of %s users", f"{n_users:,}")
        if weights is not None:
            totals, weights = coarsened(Groups(totals, weights))
        elif self._settings.fit == "cells":
            totals, weights = group_users(totals)
        try:
            return compare(totals, self._cluster, self._go_on, weights)
        except ChildProcessError as error:
            raise ClassifierError(f"cannot compare numbers of clusters ({error}); give one, e.g. -k 3") from None

    def _set(self, n_clusters: int) -> None:
        """Set the number; ConfigError if --label-names has another number of names."""
        self.value = n_clusters
        try:
            label_names_from(self._settings.label_names, n_clusters)
        except ValueError as error:
            n_names = str(self._settings.label_names).count(",") + 1
            raise ConfigError(
                f"-k auto has chosen {n_clusters}, but {error}; or set it yourself: -k {n_names}"
            ) from None


def number_of_users(totals: NDArray[np.float64], weights: Weights | None) -> int:
    """Return how many users the rows of totals represent."""
    return len(totals) if weights is None else int(weights.sum())
