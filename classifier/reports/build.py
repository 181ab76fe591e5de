"""The reports that the options ask for."""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence

from classifier.config.certificates import client_certificates
from classifier.config.settings import Settings
from classifier.errors import ConfigError
from classifier.label_names import label_names_from
from classifier.outage import Outage
from classifier.reports import Report, Reports
from classifier.reports.certificates import CertificateWatch
from classifier.reports.output_file import check_path, prepare_matplotlib
from classifier.reports.progress import ProgressBar

log = logging.getLogger("user_classifier")


@contextlib.contextmanager
def reports_for(settings: Settings, outages: Mapping[str, Outage]) -> Iterator[Reports]:
    """Create the reports, and close them at the end; ConfigError if one cannot be created."""
    try:
        names = label_names_from(settings.label_names, None if settings.auto_k else int(settings.n_clusters))
        reports = Reports(create_reports(settings, names, outages))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    with contextlib.closing(reports):
        yield reports


def create_reports(settings: Settings, names: Sequence[str], outages: Mapping[str, Outage]) -> Iterator[Report]:
    """Create each report; ValueError if one cannot be created. Only the modules of these reports are imported."""
    certificates = client_certificates(settings.sections)
    if certificates:
        yield CertificateWatch(certificates)
    if settings.plot:
        check_path(settings.plot)
        prepare_matplotlib(settings.plot.parent)
        if not settings.explore_k:
            from classifier.reports.plot import ClusterPlot

            yield ClusterPlot(settings.plot, names, axes=settings.plotted)
    if settings.summary:
        from classifier.reports.summary import Summary

        yield Summary(log.info, names)
    if settings.scale == "log":
        from classifier.reports.influence import SmallValuesWarning

        yield SmallValuesWarning()
    if settings.metrics_port:
        from classifier.reports.metrics import Metrics

        metrics = Metrics(settings.metrics_port, settings.metrics_host, names, settings.max_poll_seconds, outages)
        metrics.certificates = certificates
        yield metrics
    if settings.log_format != "json":
        yield ProgressBar()
