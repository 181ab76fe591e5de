"""The alerts of docs/running.md, evaluated on what was scraped from a client: the forms of PromQL that they use."""

import itertools
import math
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.support.pages import CODE, RUNNING, rows
from tests.support.waiting import wait_until

INTERVAL_S = 15.0
"""Prometheus scrapes so often; a scrape counts as made this long after the last one, whenever it was made."""
SCRAPE_TIMEOUT_S = 5.0
UNITS_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
AND_ON = re.compile(r"(?P<left>.+) and on \([\w, ]+\) (?P<right>.+)")
COMPARISON = re.compile(r"(?P<left>.+) (?P<operator>[<>]) (?P<right>[\d *]+)")
QUANTILE = re.compile(r"histogram_quantile\((?P<quantile>[\d.]+), (?P<buckets>.+)\)")
OVER_TIME = re.compile(r"(?P<function>\w+)\((?P<metric>\w+)\[(?P<range>\w+)\]\)")
FUNCTION = re.compile(r"(?P<function>absent|min)\((?P<inner>.+)\)")
METRIC = re.compile(r"(?P<metric>\w+)")

Labels = frozenset[tuple[str, str]]
Vector = Mapping[Labels, float]
Scrape = Mapping[str, Vector]  # by the name of the metric; empty if the client did not answer
NO_LABELS: Labels = frozenset()


def seconds(duration: str) -> float:
    """A duration as in [5m], or as on the page."""
    match = re.fullmatch(r"(\d+) ?(\w+)", duration)
    if match is None:
        raise ValueError(duration)
    return float(match[1]) * UNITS_S[match[2]]


class Alert(NamedTuple):
    """One alert: it fires if its expression has had a value at each scrape for some time."""

    name: str
    expression: str
    for_s: float

    def sooner(self, before: str, after: str) -> "Alert":
        """The alert with another threshold, for tests that do not wait for the time of the page."""
        if f" {before}" not in self.expression:
            raise ValueError(f"{self.expression} has no {before}")
        return self._replace(expression=self.expression.replace(f" {before}", f" {after}"))


def documented() -> dict[str, Alert]:
    """The alerts of the page, by name."""
    table = rows(RUNNING.section("What to alert on"))[2:]
    found = [Alert(row[0], CODE.findall(row[1])[0], seconds(row[2]) if row[2] else 0.0) for row in table]
    return {each.name: each for each in found}


class Scrapes:
    """What was scraped from a client, the newest last; its times are those of a Prometheus."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._scrapes: list[Scrape] = []

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of a page."""
        try:
            with urllib.request.urlopen(f"{self._url}{path}", timeout=SCRAPE_TIMEOUT_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def answers(self) -> bool:
        """Whether the client serves its pages."""
        try:
            return self.page("/health")[0] > 0
        except OSError:
            return False

    def scrape(self) -> Scrape:
        """Scrape once more; return what was found."""
        try:
            text = self.page("/metrics")[1]
        except OSError:
            text = ""
        found: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
        self._scrapes.append(found)
        return found

    def scrape_for(self, duration_s: float) -> None:
        """Scrape as often as Prometheus does in some time."""
        for _ in range(math.ceil(duration_s / INTERVAL_S) + 1):
            self.scrape()

    def fires(self, alert: Alert) -> bool:
        """Whether an alert fires now."""
        needed = math.ceil(alert.for_s / INTERVAL_S) + 1
        at = range(len(self._scrapes) - needed, len(self._scrapes))
        return at.start >= 0 and all(evaluated(alert.expression, self._scrapes[: each + 1]) for each in at)

    def wait_until_fires(self, alert: Alert, pause_s: float = 0.0) -> None:
        """Scrape until an alert fires."""

        def fires() -> bool:
            self.scrape()
            time.sleep(pause_s)
            return self.fires(alert)

        wait_until(fires, f"the alert {alert.name}: {alert.expression}")


def evaluated(expression: str, scrapes: Sequence[Scrape]) -> Vector:
    """The values of an expression at the last scrape."""
    return _Evaluation(scrapes).value(expression)


def increase(values: Sequence[float]) -> float:
    """The growth of a counter, which a restart sets to 0."""
    return sum(after - before if after >= before else after for before, after in itertools.pairwise(values))


class _Evaluation:
    """Evaluates at the last of some scrapes."""

    def __init__(self, scrapes: Sequence[Scrape]) -> None:
        self._scrapes = scrapes

    @cached_property
    def _forms(self) -> list[tuple[re.Pattern[str], Callable[..., Vector]]]:
        return [
            (AND_ON, self._and_on),
            (COMPARISON, self._compared),
            (QUANTILE, self._quantile),
            (OVER_TIME, self._over_time),
            (FUNCTION, self._function),
            (METRIC, lambda metric: self._scrapes[-1].get(metric, {})),
        ]

    def value(self, expression: str) -> Vector:
        for form, function in self._forms:
            if match := form.fullmatch(expression):
                return function(**match.groupdict())
        raise ValueError(f"unknown form: {expression}")

    def _and_on(self, left: str, right: str) -> Vector:
        """All scrapes are of one instance, so that its job and instance match."""
        return self.value(left) if self.value(right) else {}

    def _compared(self, left: str, operator: str, right: str) -> Vector:
        threshold = math.prod(map(float, right.split(" * ")))
        found = self.value(left)
        return {at: each for at, each in found.items() if (each > threshold if operator == ">" else each < threshold)}

    def _function(self, function: str, inner: str) -> Vector:
        found = self.value(inner)
        if function == "absent":
            return {} if found else {NO_LABELS: 1.0}
        return {NO_LABELS: min(found.values())} if found else {}

    def _over_time(self, function: str, metric: str, range: str) -> Vector:
        n_scrapes = int(seconds(range) / INTERVAL_S)
        samples: dict[Labels, list[float]] = {}
        for scrape in self._scrapes[-n_scrapes:]:
            for labels, value in scrape.get(metric, {}).items():
                samples.setdefault(labels, []).append(value)
        functions: Mapping[str, Callable[[Sequence[float]], float]] = {
            "min_over_time": min,
            "last_over_time": lambda values: values[-1],
            "changes": lambda values: float(sum(before != after for before, after in itertools.pairwise(values))),
            "increase": increase,
            "rate": lambda values: increase(values) / seconds(range),
        }
        of = functions[function]
        return {labels: of(values) for labels, values in samples.items()}

    def _quantile(self, quantile: str, buckets: str) -> Vector:
        """As Prometheus does it: by interpolation in the bucket that holds the quantile."""
        found = {float(dict(labels)["le"]): value for labels, value in self.value(buckets).items()}
        bounds = sorted(found)
        if not bounds or not found[bounds[-1]]:
            return {}
        rank = float(quantile) * found[bounds[-1]]
        index = next(n for n, bound in enumerate(bounds) if found[bound] >= rank)
        if math.isinf(bounds[index]):
            return {NO_LABELS: bounds[index - 1]}
        below, low = (found[bounds[index - 1]], bounds[index - 1]) if index else (0.0, 0.0)
        share = (rank - below) / (found[bounds[index]] - below)
        return {NO_LABELS: low + share * (bounds[index] - low)}
