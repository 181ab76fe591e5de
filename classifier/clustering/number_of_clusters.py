"""The number of clusters: as -k says, or with `-k auto` the one of the best silhouette, chosen once and kept.

Where no number separates the users (too few, all alike, see `exploration`), the choice waits and all get label 0.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.clustering.compare_k import SEPARATES_NOTHING, Fit, best_separating, comparison_lines, equal_users_note
from classifier.clustering.grouping import Groups, coarsened, group_users
from classifier.clustering.model import ClusterFunction, n_distinct
from classifier.clustering.scaling import Weights, scale_suffix
from classifier.config.settings import Settings
from classifier.errors import ClassifierError, ConfigError
from classifier.formatting import format_users
from classifier.label_names import label_names_from

log = logging.getLogger("user_classifier")
FEWEST_USERS = 3  # for which -k auto can choose


class Chosen(NamedTuple):
    """What -k auto has chosen."""

    n_clusters: int
    scale: str = "none"


class NumberOfClusters:
    """What -k stands for. `value` is None until -k auto has chosen, which it does when all has been read."""

    def __init__(self, settings: Settings, cluster: ClusterFunction, go_on: Callable[[], bool]) -> None:
        self._settings, self._cluster, self._go_on = settings, cluster, go_on
        self.value = None if settings.auto_k else int(settings.n_clusters)
        self._waits = self._warned = False  # whether that has been said

    @property
    def to_fit(self) -> int:
        """The number to fit with: where -k auto could not choose yet, all users are one cluster."""
        return self.value or 1

    @property
    def to_keep(self) -> Chosen | None:
        """The number to keep beside the offsets, and on which scale it was chosen; None unless -k auto did."""
        return Chosen(self.value, self._settings.scale) if self.value and self._settings.auto_k else None

    def recall(self, before: Chosen | None) -> None:
        """Take the number that -k auto has chosen at an earlier start, on the same scale."""
        if self.value is None and before:
            chosen, scale = before
            if scale != self._settings.scale:
                told = "-k auto: %d clusters were chosen with --scale %s; with --scale %s the choice is made anew"
                log.info(told, chosen, scale, self._settings.scale)
                return
            self._take(chosen)
            log.info("-k auto: %d clusters, as chosen before", chosen)

    def choose(self, totals: NDArray[np.float64], weights: Weights | None = None) -> bool:
        """With -k auto, choose when the end is first reached; return False if a signal came meanwhile.

        Where it could not, all get label 0, and each further step tries again. `weights` says how many users each row
        of totals stands for, one by default.
        """
        n_users = number_of_users(totals, weights)
        if self.value is None:
            fits = self.compare(totals, weights)
            if chosen := best_separating(fits):
                for line in comparison_lines(fits, n_users, scale_suffix(self._settings.scale)):
                    log.info(line)
                self._take(chosen.n_clusters)
                log.info("-k auto: %d clusters; kept until -k says otherwise", self.value)
            elif n_users >= FEWEST_USERS and not self._waits and self._go_on():
                self._waits = True
                log.warning("-k auto: %s: %s; all get label 0 until one does", format_users(n_users), SEPARATES_NOTHING)
        return self.value is not None or self._go_on()

    def warn_of_equal_users(self, totals: NDArray[np.float64], weights: Weights | None = None) -> None:
        """Say that there are more clusters than different totals; once, and again only if that was not so meanwhile."""
        n_users, one_hot = number_of_users(totals, weights), self._settings.one_hot
        told = equal_users_note(totals, self.value, one_hot=one_hot, n_users=n_users) if self.value else None
        if told and not self._warned:
            log.warning(told)
        self._warned = told is not None

    def compare(self, totals: NDArray[np.float64], weights: Weights | None = None) -> list[Fit]:
        """Fit and score each number of clusters; none if users are too few or all alike, or a signal came meanwhile."""
        from classifier.clustering.compare_k import compare

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
            raise ClassifierError(f"numbers of clusters cannot be compared ({error}); give one, e.g. -k 3") from None

    def _take(self, chosen: int) -> None:
        self.value = chosen
        try:
            label_names_from(self._settings.label_names, chosen)
        except ValueError as error:
            n_names = str(self._settings.label_names).count(",") + 1
            raise ConfigError(f"-k auto has chosen {chosen}, but {error}; or choose yourself: -k {n_names}") from None


def number_of_users(totals: NDArray[np.float64], weights: Weights | None) -> int:
    """Return how many users rows of totals stand for."""
    return len(totals) if weights is None else int(weights.sum())
