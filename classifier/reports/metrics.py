"""The client's numbers for Prometheus at /metrics, and whether it is alive at /health.

Guarantee: totals and states are shown, never a user.
"""

import errno
import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from classifier.config.settings import LOOPBACK
from classifier.reports.periodic import Clock
from classifier.reports.step import Step

log = logging.getLogger("user_classifier")

MAX_POLL_SECONDS = 300.0  # Kafka's own default of max.poll.interval.ms
REQUEST_SECONDS = 10.0  # after which a silent caller is hung up on
SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Serves what the client did, from a thread of its own, until closed.

    A scrape sees all gauges of one step, never parts of two.
    """

    def __init__(
        self,
        port: int,
        host: str = LOOPBACK,
        names: Sequence[str] = (),
        max_poll_seconds: float = MAX_POLL_SECONDS,
        clock: Clock = time.monotonic,
    ) -> None:
        """Begin to serve; ValueError says why that is not possible. Port 0 takes a free one."""
        self._names, self._max_poll_seconds, self._clock = names, max_poll_seconds, clock
        self._polled_at = clock()
        self._committed_at: float | None = None
        self._n_behind: int | None = None
        self._of_step: tuple[int, int, Mapping[int, int], Mapping[int, int]] | None = None
        self._centers: Sequence[Sequence[float]] = ()
        self._scale = "none"
        self._registry = CollectorRegistry()
        self._make_counters()
        self._registry.register(self)
        self._server = serve(host, port, self)

    def _make_counters(self) -> None:
        registry = self._registry
        self._records = Counter("user_classifier_records", "Records read.", registry=registry)
        self._changes = Counter("user_classifier_changes", "Labels written, tombstones too.", registry=registry)
        self._bad = Counter("user_classifier_bad_records", "Records that could not be read.", registry=registry)
        self._fit, self._commit = (
            Histogram(f"user_classifier_{name}_seconds", help_, buckets=SECONDS_BUCKETS, registry=registry)
            for name, help_ in (("fit", "Duration of a fit."), ("commit", "Duration of a Kafka transaction."))
        )

    @property
    def port(self) -> int:
        """The port that is listened to."""
        return int(self._server.server_address[1])

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Count records; note the time of the poll."""
        self._polled_at = self._clock()
        if n_behind is not None:
            self._n_behind = n_behind
        self._records.inc(n_records)

    def bad(self, n_records: int) -> None:
        """Count records that could not be read."""
        self._bad.inc(n_records)

    def step(self, step: Step) -> None:
        """Take over the numbers of a step."""
        self._committed_at = self._clock()
        self._changes.inc(step.n_changes)
        self._fit.observe(step.fit_seconds)
        self._commit.observe(step.commit_seconds)
        self._centers, self._scale = step.centers.tolist(), step.scaling.name
        self._of_step = step.n_users, step.n_several, dict(enumerate(step.users_of_labels)), dict(step.lag)

    def close(self) -> None:
        """Stop serving, free the port."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def seconds_since_poll(self) -> float:
        """Age of the last poll; before the first one, of this object."""
        return self._clock() - self._polled_at

    @property
    def healthy(self) -> bool:
        """Whether the client still polls."""
        return self.seconds_since_poll < self._max_poll_seconds

    def collect(self) -> Iterator[Metric]:
        """Make the gauges, for the registry."""
        yield gauge("up", "1 while the client polls, as /health.", {(): float(self.healthy)})
        if self._committed_at is not None:
            age = self._clock() - self._committed_at
            yield gauge("last_commit_age_seconds", "Time since the last commit.", {(): age})
        if self._n_behind is not None:
            yield gauge("behind_records", "Records still to be read, at the last poll.", {(): self._n_behind})
        if self._of_step is None:
            return
        n_users, n_several, by_label, lag = self._of_step
        yield gauge("users", "Users in the table.", {(): n_users})
        yield gauge("several_rows_users", "Users with more than one row, never taken back.", {(): n_several})
        yield gauge(
            "label_users",
            "Users by label.",
            {(str(label), self._name(label)): n for label, n in by_label.items()},
            ("label", "name"),
        )
        yield self._centers_gauge()
        yield gauge(
            "lag_records", "Records behind, at the last step.", {(str(p),): n for p, n in lag.items()}, ("partition",)
        )

    def _centers_gauge(self) -> Metric:
        """Make the gauge of where the centres lie: a value for each label and column."""
        columns = ("total_amount", "num_transactions")
        values: dict[tuple[str, ...], float] = {
            (str(label), self._name(label), column, self._scale): value
            for label, center in enumerate(self._centers)
            for column, value in zip(columns, center, strict=True)
        }
        help_ = "Centre of each label, in the units of the input; scale says where it was fitted."
        return gauge("label_center", help_, values, ("label", "name", "column", "scale"))

    def _name(self, label: int) -> str:
        return self._names[label] if label < len(self._names) else ""

    def page(self, path: str, accept: str) -> tuple[int, str, bytes]:
        """Return status, content type and body of a page."""
        text = "text/plain; charset=utf-8"
        if path == "/metrics":
            encode, kind = choose_encoder(accept)
            return 200, kind, encode(self._registry)
        if path == "/health":
            age = f"last poll {self.seconds_since_poll:.1f} s ago\n"
            return (200, text, f"ok: {age}".encode()) if self.healthy else (503, text, f"stuck: {age}".encode())
        return 404, text, b"there are /metrics and /health\n"


def gauge(name: str, help_: str, values: Mapping[tuple[str, ...], float], labels: Sequence[str] = ()) -> Metric:
    """Return a gauge with one value for each combination of labels."""
    family = GaugeMetricFamily(f"user_classifier_{name}", help_, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


class Server(ThreadingTCPServer):
    """Answers from threads that do not keep the process alive. (HTTPServer would ask the DNS for its own name.)"""

    daemon_threads = True
    allow_reuse_address = True  # at once after a restart
    metrics: Metrics

    def __init__(self, host: str, port: int) -> None:
        """Listen; OSError and OverflowError where that is not possible."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers who hang up are no news for a terminal."""
        log.debug("metrics: a request from %s failed", client_address, exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """Serves the pages of `Metrics`."""

    server: Server
    timeout = REQUEST_SECONDS

    def do_GET(self) -> None:
        """Answer with a page."""
        path = self.path.partition("?")[0]
        status, kind, body = self.server.metrics.page(path, self.headers.get("Accept", ""))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Requests are for the debug log."""
        log.debug("metrics: " + format, *args)


def serve(host: str, port: int, metrics: Metrics) -> Server:
    """Serve `metrics` in the background; ValueError names the address that cannot be listened to."""
    try:
        server = Server(host, port)
    except (OSError, OverflowError) as error:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        reason, remedy = why_not(error)
        raise ValueError(f"cannot serve metrics at {where} ({reason}); {remedy}") from None
    server.metrics = metrics
    threading.Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True).start()
    return server


def why_not(error: OSError | OverflowError) -> tuple[str, str]:
    """Return what is in the way, and what to type next."""
    port, host = "choose another port with --metrics-port", "choose an address of this machine with --metrics-host"
    if isinstance(error, OverflowError):
        return "ports go from 1 to 65535", port
    if isinstance(error, socket.gaierror) or error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return error.strerror or str(error), f"{host}, 0.0.0.0 for all"
    return error.strerror or str(error), port
