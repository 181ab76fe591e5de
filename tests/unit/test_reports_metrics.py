"""The metrics for Prometheus, and the response of /health."""

import contextlib
import re
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from classifier.clustering.scaling import Scaling
from classifier.reports.metrics import Metrics
from tests.support.steps import ManualClock, made_step

STEP = made_step([("ann", 1.0, 1, 0), ("bob", 2.0, 1, 0), ("cem", 9.0, 9, 1)], 2)._replace(
    n_changes=3,
    fit_seconds=0.02,
    commit_seconds=0.3,
    lag={0: 5, 3: 7},
)
PREFIX = "user_classifier_"


@contextlib.contextmanager
def served(clock: ManualClock, names: tuple[str, ...] = ()) -> Iterator[Metrics]:
    """Metrics on a free port."""
    metrics = Metrics(0, names=names, max_poll_seconds=300.0, clock=clock)
    try:
        yield metrics
    finally:
        metrics.close()


def get(metrics: Metrics, path: str) -> tuple[int, str]:
    """Status and body of a page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics.port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def scrape(metrics: Metrics) -> dict[str, float]:
    """Every sample of /metrics, without the prefix."""
    status, text = get(metrics, "/metrics")
    assert status == 200
    samples = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name.removeprefix(PREFIX): float(value) for name, value in samples}


def test_scrape_before_anything_happened() -> None:
    with served(ManualClock()) as metrics:
        found = scrape(metrics)
    assert found["records_total"] == found["bad_records_total"] == found["fit_seconds_count"] == 0
    assert found["up"] == 1
    assert not any(name.startswith(("users", "label_users", "lag", "last_commit")) for name in found)


def test_scrape_after_two_steps() -> None:
    clock = ManualClock()
    with served(clock, ("stingy", "spendthrift")) as metrics:
        metrics.read(10, 90)
        metrics.bad(2)
        metrics.step(STEP)
        metrics.read(5, 0)
        clock.now += 7
        metrics.step(STEP._replace(n_changes=4, fit_seconds=0.04, lag={3: 1}, n_several=2))
        clock.now += 3
        found = scrape(metrics)
    expected = {
        "records_total": 15,
        "bad_records_total": 2,
        "changes_total": 7,
        "fit_seconds_count": 2,
        "fit_seconds_sum": 0.06,
        'fit_seconds_bucket{le="0.025"}': 1,
        'fit_seconds_bucket{le="0.05"}': 2,
        "commit_seconds_count": 2,
        "commit_seconds_sum": 0.6,
        "up": 1,
        "users": 3,
        "several_rows_users": 2,
        'label_users{label="0",name="stingy"}': 2,
        'label_users{label="1",name="spendthrift"}': 1,
        'lag_records{partition="3"}': 1,
        "last_commit_age_seconds": 3,
        "behind_records": 0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert 'lag_records{partition="0"}' not in found, "a partition that is no longer reported"


def test_the_centres_and_the_scale_of_their_fit() -> None:
    with served(ManualClock(), ("stingy", "spendthrift")) as metrics:
        metrics.step(STEP)
        first = scrape(metrics)
        metrics.step(STEP._replace(scaling=Scaling("log"), centers=STEP.centers[:1] + 0.5))
        then = scrape(metrics)

    def centers(found: dict[str, float]) -> dict[str, float]:
        return {name: value for name, value in found.items() if name.startswith("label_center")}

    where = 'label_center{{column="{}",label="{}",name="{}",scale="{}"}}'
    assert centers(first) == {
        where.format("total_amount", 0, "stingy", "none"): 1.5,
        where.format("num_transactions", 0, "stingy", "none"): 1.0,
        where.format("total_amount", 1, "spendthrift", "none"): 9.0,
        where.format("num_transactions", 1, "spendthrift", "none"): 9.0,
    }
    assert centers(then) == {
        where.format("total_amount", 0, "stingy", "log"): 2.0,
        where.format("num_transactions", 0, "stingy", "log"): 1.5,
    }, "the other values are removed"


def test_every_metric_has_a_help_text() -> None:
    with served(ManualClock()) as metrics:
        metrics.step(STEP)
        text = get(metrics, "/metrics")[1]
    named = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert set(re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE)) == named


def test_two_instances_do_not_share_numbers() -> None:
    with served(ManualClock()) as one, served(ManualClock()) as two:
        one.read(5, 0)
        assert (scrape(one)["records_total"], scrape(two)["records_total"]) == (5, 0)


def test_health_follows_the_last_poll() -> None:
    clock = ManualClock()
    with served(clock) as metrics:
        clock.now += 299
        assert get(metrics, "/health") == (200, "ok: last poll 299.0 s ago\n")
        metrics.read(0, 0)
        clock.now += 300
        assert get(metrics, "/health") == (503, "stuck: last poll 300.0 s ago\n")
        assert scrape(metrics)["up"] == 0
        metrics.read(0, 0)
        assert get(metrics, "/health")[0] == 200


def test_other_pages() -> None:
    with served(ManualClock()) as metrics:
        assert get(metrics, "/") == (404, "not found; the pages are /metrics and /health\n")
        assert get(metrics, "/health?x=1")[0] == 200


def test_no_user_is_shown() -> None:
    """Any client that reaches the port sees counts and states only."""
    with served(ManualClock(), ("stingy", "spendthrift")) as metrics:
        metrics.step(STEP)
        pages = "".join(get(metrics, path)[1] for path in ("/metrics", "/health", "/"))
    assert "stingy" in pages
    assert [user_id for user_id in STEP.user_ids if user_id in pages] == []


def test_a_long_restore_is_healthy() -> None:
    """The client reads another topic than the input: it is healthy, and the number of records behind is unchanged."""
    clock = ManualClock()
    with served(clock) as metrics:
        metrics.read(5, 70)
        for _ in range(3):
            clock.now += 200
            metrics.read(0, None)
        assert get(metrics, "/health")[0] == 200
        assert scrape(metrics)["behind_records"] == 70
