"""The alerts of docs/running.md: each is tested on a client, and the evaluation of the tests is that of Prometheus."""

from collections.abc import Sequence

import pytest

from tests.support.alerts import INTERVAL_S, NO_LABELS, Scrape, documented, evaluated, increase
from tests.support.client import ROOT

ON_CLIENTS = ("tests/faults/test_alerts.py", "tests/secure/test_certificates.py")


def test_each_alert_is_tested_on_a_client_in_its_state() -> None:
    tests = "".join((ROOT / path).read_text(encoding="utf-8") for path in ON_CLIENTS)
    assert [name for name in documented() if f'["{name}"]' not in tests] == []


@pytest.mark.parametrize("alert", documented().values(), ids=lambda alert: alert.name)
def test_each_expression_has_a_form_that_the_tests_know(alert: object) -> None:
    found = evaluated(getattr(alert, "expression", ""), [{}])
    assert bool(found) == (getattr(alert, "name", "") == "The client is down"), "nothing was scraped"


def scrapes(**values: Sequence[float]) -> list[Scrape]:
    """Metrics without labels."""
    return [
        {name: {NO_LABELS: value} for name, value in zip(values, each, strict=True)}
        for each in zip(*values.values(), strict=True)
    ]


@pytest.mark.parametrize(
    ("expression", "values", "wanted"),
    [
        ("m > 3", [9, 3], None),
        ("m > 3", [0, 4], 4),
        ("m < 2 * 3", [9, 5], 5),
        ("absent(m)", [0], None),
        ("min(m) < 1", [1, 0], 0),
        ("min_over_time(m[30s]) > 3", [1, 5, 4], 4),
        ("min_over_time(m[1m]) > 3", [1, 5, 4], None),
        ("changes(m[1h])", [1, 1, 2, 1], 2),
        ("increase(m[1h]) > 0", [7, 7], None),
        ("last_over_time(m[1h])", [7, 8], 8),
        ("m > 3 and on (job) n", [1, 5], 5),
        ("m > 3 and on (job) unknown", [1, 5], None),
    ],
)
def test_forms(expression: str, values: list[float], wanted: float | None) -> None:
    found = evaluated(expression, scrapes(m=values, n=values))
    assert found == ({} if wanted is None else {NO_LABELS: wanted})


def test_a_counter_that_begins_again() -> None:
    assert increase([5, 7, 1, 2]) == 4


def test_a_quantile_of_buckets() -> None:
    """The example of Prometheus' documentation: nine tenths of the way through the second bucket."""

    def buckets(*counts: float) -> Scrape:
        bounds = ("0.1", "1.0", "+Inf")
        return {"m_bucket": {frozenset({("le", le)}): count for le, count in zip(bounds, counts, strict=True)}}

    history = [buckets(0, 0, 0), buckets(0, 10, 10)]
    expression = f"histogram_quantile(0.9, rate(m_bucket[{int(2 * INTERVAL_S)}s]))"
    assert evaluated(expression, history)[NO_LABELS] == pytest.approx(0.1 + 0.9 * 0.9)
    assert evaluated(expression, [buckets(0, 0, 0), buckets(0, 0, 10)])[NO_LABELS] == 1.0, "the highest known bound"
