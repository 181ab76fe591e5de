"""--dry-run and --explore-k: read as a run does, print the result, write nothing to Kafka."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from classifier.clustering.compare_k import comparison_lines, equal_users_note, omitted_note
from classifier.clustering.model import ClusterFunction
from classifier.clustering.number_of_clusters import NumberOfClusters
from classifier.clustering.scaling import fit_scaling, scale_suffix
from classifier.config.settings import Settings
from classifier.errors import ClassifierError, RestoreNeeded, StateError
from classifier.label_names import label_names_from
from classifier.loop.intake import Intake
from classifier.reports import Report
from classifier.stdio import print_line
from classifier.stop import StopRequest

log = logging.getLogger("user_classifier")
RESTORE_ATTEMPTS = 5  # to restore while a running instance commits


@dataclass(frozen=True)
class Preview:
    """One pass over the input to its end. A client may be running meanwhile."""

    settings: Settings
    intake: Intake
    cluster: ClusterFunction
    stop: StopRequest
    report: Report
    clock: Callable[[], float] = time.monotonic

    def run(self) -> None:
        """Read to the end, and print the comparison or the labels."""
        try:
            self._restore()
            self._read_to_end()
            if not self.stop.requested:
                self.intake.watch.check()
                lines = self._comparison() if self.settings.explore_k else self._labels()
                for line in lines:
                    print_line(line)
        except RestoreNeeded:
            if not self.stop.requested:
                raise
        if self.stop.requested:
            log.info("stopped before the result was ready")

    def _read_to_end(self) -> None:
        """Read to an end that the leaders confirm, and after which no user is left without a row."""
        intake = self.intake
        while not self.stop.requested:
            intake.gather()
            if intake.at_end and intake.confirm_end():
                intake.settle(last=True)
                if not intake.deletions_due:
                    return
                intake.batch.clear()

    def _restore(self) -> None:
        """Restore from one commit; again if a running instance committed meanwhile."""
        for _ in range(RESTORE_ATTEMPTS):
            before = self._commits()
            try:
                self.intake.restore()
            except StateError:
                if self._commits() == before:
                    raise
            else:
                if self.stop.requested or self._commits() == before:
                    return
        raise StateError(
            f"{self.settings.output} is written to faster than it can be read; try again, or stop the running"
            " user_classifier first"
        )

    def _commits(self) -> dict[int, tuple[int, str | None]]:
        """Return committed offset and metadata by partition."""
        return {partition: (at.offset, at.metadata) for partition, at in self.intake.committed_now().items()}

    def _comparison(self) -> Iterator[str]:
        """Yield the lines of the comparison; draw it with --plot."""
        intake = self.intake
        path = self.settings.plot
        suffix = scale_suffix(self.settings.scale)
        noun = self.settings.noun
        fits = NumberOfClusters(self.settings, self.cluster, intake.heartbeat).compare(intake.totals, intake.weights)
        if self.stop.requested:
            return
        try:
            yield from comparison_lines(fits, intake.n_users, suffix, noun=noun)
            note = omitted_note(intake.totals, intake.n_users, noun)
            if note:
                yield note
            yield from self._influence()
            if path is not None:
                from classifier.reports import elbow, plot

                plot.save(elbow.draw(fits, intake.n_users, suffix), path)
                yield f"drawn: {path}"
        except OSError as error:
            raise ClassifierError(f"{path}: not drawn ({error.strerror or error})") from None
        except ValueError as error:
            raise ClassifierError(str(error)) from None

    def _influence(self) -> list[str]:
        """Return the share of the variance that each feature has, and what to type if one has nearly all."""
        from classifier.reports.influence import influence_lines, small_values_note

        totals, weights, features = self.intake.totals, self.intake.weights, self.intake.features
        scaling = fit_scaling(self.settings.scale, totals, weights, features.units_per_day)
        small = small_values_note(totals, scaling, features, weights)
        return influence_lines(totals, scaling, features, weights) + ([small] if small else [])

    def _labels(self) -> Iterator[str]:
        """Yield the first users, a summary, and the number of changes that a run would write."""
        from classifier.reports.influence import influence_lines
        from classifier.reports.summary import first_users, summary_lines

        intake = self.intake
        number = NumberOfClusters(self.settings, self.cluster, intake.heartbeat)
        number.recall(intake.choice)
        if not number.choose(intake.totals, intake.weights):
            return
        began = self.clock()
        clusters = intake.fit(self.cluster, number.to_fit)
        n_changes = len(intake.relabel(clusters))
        step = intake.step(clusters, n_changes, self.clock() - began, 0.0)
        self.report.step(step)
        names = label_names_from(self.settings.label_names, number.value)
        yield from first_users(step, names)
        yield ""
        yield from summary_lines(step, names)
        yield from influence_lines(step.totals, step.scaling, step.features, step.weights)
        yield ""
        if number.value:
            settings = self.settings
            note = equal_users_note(
                intake.totals, number.value, one_hot=settings.one_hot, n_users=intake.n_users, noun=settings.noun
            )
            if note:
                yield note
                yield ""
        yield f"a run would change {n_changes} {intake.unit}s of {self.settings.output}; nothing was written"
