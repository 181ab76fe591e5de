"""The client's metrics for Prometheus at /metrics, whether it is alive at /health, and whether it labels at /ready.

Guarantee: metrics are counts and states; no user_id is shown.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from classifier import __version__
from classifier.config.certificates import Certificate
from classifier.config.settings import LOOPBACK
from classifier.features import Features
from classifier.outage import Outage
from classifier.reports.certificates import remaining_seconds
from classifier.reports.metrics_server import TEXT, MetricsServer, Response
from classifier.reports.periodic import Clock
from classifier.reports.step import Step

MAX_POLL_SECONDS = 300.0  # Kafka's own default of max.poll.interval.ms
SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class StepGauges(NamedTuple):
    """The values of the gauges that change with a step, replaced together."""

    n_users: int
    n_several: int  # users with more than one row
    users_of_labels: Sequence[int]
    lag: Mapping[int, int]  # by partition
    centers: Sequence[Sequence[float]]
    scale: str
    features: Features


class Metrics:
    """Serves the metrics from a thread until closed.

    A scrape sees all gauges of one step, never parts of two.
    """

    def __init__(
        self,
        port: int,
        host: str = LOOPBACK,
        names: Sequence[str] = (),
        max_poll_seconds: float = MAX_POLL_SECONDS,
        outages: Mapping[str, Outage] = MappingProxyType({}),  # by service, for the label of that name
        clock: Clock = time.monotonic,
    ) -> None:
        """Start the server, see `MetricsServer`. Port 0 means any free port."""
        self.certificates: Sequence[Certificate] = ()  # of the client
        self._names = names
        self._max_poll_seconds = max_poll_seconds
        self._clock = clock
        self._outages = outages
        self._polled_at = clock()
        self._restored = False
        self._uncommitted_since: float | None = None  # when the first record was read that is not committed
        self._committed_at: float | None = None
        self._n_behind: int | None = None
        self._gauges: StepGauges | None = None
        self._registry = CollectorRegistry()
        self._create_counters()
        self._registry.register(self)  # for the gauges, see `collect`
        self._server = MetricsServer(host, port, self.page)

    def _create_counters(self) -> None:
        registry = self._registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        Info("user_classifier_build", "Version of the client.", registry=registry).info({"version": __version__})
        self._records = Counter("user_classifier_records", "Records read.", registry=registry)
        self._changes = Counter("user_classifier_changes", "Labels and tombstones written.", registry=registry)
        self._bad = Counter("user_classifier_bad_records", "Records that could not be read.", registry=registry)
        self._fit = Histogram(
            "user_classifier_fit_seconds", "Duration of a fit.", buckets=SECONDS_BUCKETS, registry=registry
        )
        self._commit = Histogram(
            "user_classifier_commit_seconds",
            "Duration of the commit of a step, all its transactions.",
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )

    @property
    def port(self) -> int:
        """The port of the server."""
        return self._server.port

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Count records; keep the time of the poll."""
        self._polled_at = self._clock()
        if n_behind is not None:
            self._n_behind = n_behind
        if n_records and self._uncommitted_since is None:
            self._uncommitted_since = self._polled_at
        self._records.inc(n_records)

    def restored(self, *, complete: bool) -> None:
        """Keep whether the state is that of Kafka."""
        self._restored = complete

    def bad(self, n_records: int) -> None:
        """Count records that could not be read."""
        self._bad.inc(n_records)

    def step(self, step: Step) -> None:
        """Count changes and durations; replace the gauges of the step before."""
        self._committed_at = self._clock()
        self._uncommitted_since = None
        self._changes.inc(step.n_changes)
        self._fit.observe(step.fit_seconds)
        self._commit.observe(step.commit_seconds)
        self._gauges = StepGauges(
            step.n_users,
            step.n_several,
            step.users_of_labels,
            dict(step.lag),
            step.centers.tolist(),
            step.scaling.name,
            step.features,
        )

    def close(self) -> None:
        """Stop the server and free the port."""
        self._server.close()

    @property
    def seconds_since_poll(self) -> float:
        """Time since the last poll; before the first one, since the start."""
        return self._clock() - self._polled_at

    @property
    def healthy(self) -> bool:
        """Whether the client still polls."""
        return self.seconds_since_poll < self._max_poll_seconds

    @property
    def not_ready(self) -> str:
        """Why the client cannot label now; empty if it can."""
        if not self.healthy:
            return self._last_poll
        away = [
            f"{service} out of reach for {each.seconds:.1f} s"
            for service, each in self._outages.items()
            if each.seconds
        ]
        restoring = [] if self._restored else ["the state is not restored yet"]
        return ", ".join([*restoring, *away])

    @property
    def _last_poll(self) -> str:
        return f"last poll {self.seconds_since_poll:.1f} s ago"

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; called by the registry at each scrape."""
        yield gauge("up", "1 while the client polls, as /health.", {(): float(self.healthy)})
        yield gauge("ready", "1 while the client can label, as /ready.", {(): float(not self.not_ready)})
        away: dict[tuple[str, ...], float] = {(service,): each.seconds for service, each in self._outages.items()}
        yield gauge("unreachable_seconds", "Time since a service is out of reach, 0 if it works.", away, ("service",))
        since = self._uncommitted_since
        uncommitted = 0.0 if since is None else self._clock() - since
        yield gauge("uncommitted_seconds", "Age of the oldest record read and not committed.", {(): uncommitted})
        if self._committed_at is not None:
            age = self._clock() - self._committed_at
            yield gauge("last_commit_age_seconds", "Time since the last commit.", {(): age})
        if self._n_behind is not None:
            yield gauge("behind_records", "Records still to be read, at the last poll.", {(): self._n_behind})
        if self.certificates:
            help_ = "Time until a certificate of the client expires, negative once it has."
            remaining = remaining_seconds(self.certificates)
            yield gauge("certificate_remaining_seconds", help_, remaining, ("section", "property"))
        gauges = self._gauges
        if gauges is not None:
            yield from self._step_gauges(gauges)

    def _step_gauges(self, gauges: StepGauges) -> Iterator[Metric]:
        yield gauge("users", "Users in the table.", {(): gauges.n_users})
        help_ = "Users with more than one row that was never retracted."
        yield gauge("several_rows_users", help_, {(): gauges.n_several})
        users: dict[tuple[str, ...], float] = {
            (str(label), self._name(label)): n for label, n in enumerate(gauges.users_of_labels)
        }
        yield gauge("label_users", "Users by label.", users, ("label", "name"))
        yield self._centers_gauge(gauges)
        lag: dict[tuple[str, ...], float] = {(str(partition),): n for partition, n in gauges.lag.items()}
        yield gauge("lag_records", "Records behind, at the last step.", lag, ("partition",))

    def _centers_gauge(self, gauges: StepGauges) -> Metric:
        """Return the gauge of the centres: a value for each label and column."""
        values: dict[tuple[str, ...], float] = {
            (str(label), self._name(label), feature.name, gauges.scale): feature.metric_value(value)
            for label, center in enumerate(gauges.centers)
            for feature, value in zip(gauges.features.items, center, strict=True)
        }
        help_ = (
            "Centre of each label, in the units of the input, points in time in seconds since 1970; scale is that of"
            " the fit."
        )
        return gauge("label_center", help_, values, ("label", "name", "column", "scale"))

    def _name(self, label: int) -> str:
        return self._names[label] if label < len(self._names) else ""

    def page(self, path: str, accept: str) -> Response:
        """Return status, content type and body of a page."""
        if path == "/metrics":
            encode, kind = choose_encoder(accept)
            return 200, kind, encode(self._registry)
        if path == "/health":
            if self.healthy:
                return 200, TEXT, f"ok: {self._last_poll}\n".encode()
            return 503, TEXT, f"stuck: {self._last_poll}\n".encode()
        if path == "/ready":
            reason = self.not_ready
            return (503, TEXT, f"not ready: {reason}\n".encode()) if reason else (200, TEXT, b"ready\n")
        return 404, TEXT, b"not found; the pages are /metrics, /health and /ready\n"


def gauge(name: str, help_: str, values: Mapping[tuple[str, ...], float], labels: Sequence[str] = ()) -> Metric:
    """Return a gauge with one value for each combination of labels."""
    family = GaugeMetricFamily(f"user_classifier_{name}", help_, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
