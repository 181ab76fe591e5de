"""The reports that the options ask for."""

import contextlib
import logging
from collections.abc import Iterator, Sequence

from classifier.config.settings import Settings
from classifier.errors import ConfigError
from classifier.label_names import label_names_from
from classifier.reports import Report, Reports
from classifier.reports.output_file import check_target, make_fit_for_matplotlib
from classifier.reports.progress import ProgressBar

log = logging.getLogger("user_classifier")


@contextlib.contextmanager
def reports_for(settings: Settings) -> Iterator[Reports]:
    """Make the reports, and close them in the end; ConfigError if one cannot be made."""
    try:
        names = label_names_from(settings.label_names, None if settings.auto_k else int(settings.n_clusters))
        reports = Reports(make_reports(settings, names))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    with contextlib.closing(reports):
        yield reports


def make_reports(settings: Settings, names: Sequence[str]) -> Iterator[Report]:
    """Make each; ValueError says why one cannot be made. Only what is asked for is imported."""
    if settings.plot:
        check_target(settings.plot)
        make_fit_for_matplotlib(settings.plot.parent)
        if not settings.explore_k:
            from classifier.reports.plot import ClusterPlot

            yield ClusterPlot(settings.plot, names)
    if settings.summary:
        from classifier.reports.summary import Summary

        yield Summary(log.info, names)
    if settings.metrics_port:
        from classifier.reports.metrics import Metrics

        yield Metrics(settings.metrics_port, settings.metrics_host, names, settings.max_poll_seconds)
    yield ProgressBar()
