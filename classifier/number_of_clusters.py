"""The number of clusters: as -k says, or with `-k auto` the one of the best silhouette, chosen once and kept."""

import logging
from collections.abc import Callable, Iterable

import numpy as np
from confluent_kafka import TopicPartition
from numpy.typing import NDArray

from classifier.clustering import Cluster
from classifier.errors import ClassifierError, ConfigError
from classifier.exploration import Fit, best, table_lines
from classifier.label_names import names_for
from classifier.marks import chosen_before
from classifier.settings import Settings

log = logging.getLogger("user_classifier")
FEWEST_USERS = 3  # for which -k auto can choose; fewer are fewer than any number of clusters


class NumberOfClusters:
    """What -k stands for. `value` is None until -k auto has chosen, which it does when all has been read."""

    def __init__(self, settings: Settings, cluster: Cluster, go_on: Callable[[], bool]) -> None:
        self._settings, self._cluster, self._go_on = settings, cluster, go_on
        self.value = None if settings.auto_k else int(settings.n_clusters)

    @property
    def to_fit(self) -> int:
        """The number to fit with: where -k auto could not choose yet, users are fewer than any number of clusters."""
        return self.value or FEWEST_USERS

    @property
    def to_keep(self) -> int | None:
        """The number to keep beside the offsets, None unless -k auto has chosen it."""
        return self.value if self._settings.auto_k else None

    def recall(self, committed: Iterable[TopicPartition]) -> None:
        """Take the number that -k auto has chosen at an earlier start."""
        if self.value is None and (chosen := chosen_before(committed)):
            self._take(chosen)
            log.info("-k auto: %d clusters, as chosen before", chosen)

    def choose(self, totals: NDArray[np.float64]) -> bool:
        """With -k auto, choose when the end is first reached; return False if a signal came meanwhile.

        Too few users to choose are fewer than any number of clusters, too: all get label 0.
        """
        if self.value is None and (fits := self.compare(totals)):
            for line in table_lines(fits, len(totals)):
                log.info(line)
            self._take(best(fits).n_clusters)
            log.info("-k auto: %d clusters; kept until -k says otherwise", self.value)
        return self.value is not None or self._go_on()

    def compare(self, totals: NDArray[np.float64]) -> list[Fit]:
        """Fit and score each number of clusters; none if the users are too few, or a signal came meanwhile."""
        from classifier.comparison import compare

        if len(totals) < FEWEST_USERS:
            return []
        log.info("comparing 2 to 10 clusters of %s users", f"{len(totals):,}")
        try:
            return compare(totals, self._cluster, self._go_on)
        except ChildProcessError as error:
            raise ClassifierError(f"numbers of clusters cannot be compared ({error}); give one, e.g. -k 3") from None

    def _take(self, chosen: int) -> None:
        self.value = chosen
        try:
            names_for(self._settings.label_names, chosen)
        except ValueError as error:
            n_names = str(self._settings.label_names).count(",") + 1
            raise ConfigError(f"-k auto has chosen {chosen}, but {error}; or choose yourself: -k {n_names}") from None
