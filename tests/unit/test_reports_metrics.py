"""The metrics for Prometheus, and the response of /health."""

import contextlib
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from types import SimpleNamespace

import pytest

from classifier import __version__
from classifier.clustering.scaling import Scaling
from classifier.outage import Outage
from classifier.reports.metrics import Metrics
from tests.support.steps import ManualClock, made_step

STEP = made_step([("ann", 1.0, 1, 0), ("bob", 2.0, 1, 0), ("cem", 9.0, 9, 1)], 2)._replace(
    n_changes=3,
    fit_seconds=0.02,
    commit_seconds=0.3,
    lag={0: 5, 3: 7},
)
PREFIX = "user_classifier_"
NO_OUTAGES: Mapping[str, Outage] = {}


@contextlib.contextmanager
def served(
    clock: ManualClock, names: tuple[str, ...] = (), outages: Mapping[str, Outage] = NO_OUTAGES
) -> Iterator[Metrics]:
    """Metrics on a free port."""
    metrics = Metrics(0, names=names, max_poll_seconds=300.0, outages=outages, clock=clock)
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
        assert get(metrics, "/") == (404, "not found; the pages are /metrics, /health and /ready\n")
        assert get(metrics, "/health?x=1")[0] == 200


def test_no_user_is_shown() -> None:
    """Any client that reaches the port sees counts and states only."""
    with served(ManualClock(), ("stingy", "spendthrift")) as metrics:
        metrics.step(STEP)
        pages = "".join(get(metrics, path)[1] for path in ("/metrics", "/health", "/ready", "/"))
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


def test_a_client_that_restores_is_alive_and_not_ready() -> None:
    with served(ManualClock()) as metrics:
        assert (get(metrics, "/health")[0], scrape(metrics)["ready"]) == (200, 0)
        assert get(metrics, "/ready") == (503, "not ready: the state is not restored yet\n")
        metrics.restored(complete=True)
        assert (get(metrics, "/ready"), scrape(metrics)["ready"]) == ((200, "ready\n"), 1)
        metrics.restored(complete=False)  # after an aborted transaction
        assert (get(metrics, "/health")[0], get(metrics, "/ready")[0]) == (200, 503)


def test_a_client_that_hangs_is_not_ready() -> None:
    clock = ManualClock()
    with served(clock) as metrics:
        metrics.restored(complete=True)
        clock.now += 300
        assert get(metrics, "/ready") == (503, "not ready: last poll 300.0 s ago\n")


def test_services_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    outages = {"kafka": Outage("Kafka"), "schema_registry": Outage("Schema Registry")}
    now = 0.0
    monkeypatch.setattr("classifier.outage.time", SimpleNamespace(monotonic=lambda: now))
    with served(ManualClock(), outages=outages) as metrics:
        metrics.restored(complete=True)

        def seconds() -> list[float]:
            return [scrape(metrics)[f'unreachable_seconds{{service="{service}"}}'] for service in outages]

        assert seconds() == [0, 0]
        now = 100.0
        outages["schema_registry"].note_failure("HTTP 503")
        now = 107.0
        assert seconds() == [0, 7]
        assert get(metrics, "/ready") == (503, "not ready: schema_registry out of reach for 7.0 s\n")
        outages["schema_registry"].note_recovery()
        assert (seconds(), get(metrics, "/ready")[0]) == ([0, 0], 200)


def test_a_part_of_a_service_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest of what does not answer counts, until all of it answers."""
    now = 10.0
    monkeypatch.setattr("classifier.outage.time", SimpleNamespace(monotonic=lambda: now))
    kafka = Outage("Kafka")
    kafka.note_silence("leaders of in", 4.0)
    kafka.note_silence("leaders of in", 9.0)  # still
    assert kafka.seconds == 6
    kafka.note_failure("no answer")
    now = 12.0
    kafka.note_recovery()
    assert kafka.seconds == 8, "the leaders still do not answer"
    kafka.note_failure("no answer")
    kafka.note_sound("leaders of in")
    now = 15.0
    assert kafka.seconds == 3
    kafka.note_recovery()
    assert kafka.seconds == 0


def test_the_age_of_what_is_not_committed() -> None:
    clock = ManualClock()
    with served(clock) as metrics:
        metrics.read(0, 5)
        clock.now += 50
        assert scrape(metrics)["uncommitted_seconds"] == 0, "nothing was read"
        metrics.read(5, 0)
        clock.now += 50
        metrics.read(5, 0)
        metrics.restored(complete=True)  # the records are read again
        assert scrape(metrics)["uncommitted_seconds"] == 50
        metrics.step(STEP)
        clock.now += 50
        assert scrape(metrics)["uncommitted_seconds"] == 0


def test_the_metrics_of_a_process() -> None:
    """They are those of prometheus_client, whose names dashboards know."""
    with served(ManualClock()) as metrics:
        found = scrape(metrics)
    assert found[f'build_info{{version="{__version__}"}}'] == 1
    assert found["process_start_time_seconds"] > 1.7e9
    assert found["process_resident_memory_bytes"] > 1e6
    assert any(name.startswith("python_info{") for name in found)
    assert 'python_gc_collections_total{generation="0"}' in found
