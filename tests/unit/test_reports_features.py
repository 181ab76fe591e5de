"""Reports on other features than the two totals: their names, their values, points in time as dates."""

import logging
from datetime import UTC, datetime

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.dates import ConciseDateFormatter

from classifier.clustering.scaling import Scaling, fit_scaling
from classifier.config.settings import SCALES
from classifier.features import TIMES, TOTALS, Feature, Features
from classifier.reports.influence import SmallValuesWarning, influence_lines, small_values_note
from classifier.reports.metrics import Metrics
from classifier.reports.plot import MAX_DOTS, draw, spread_counts
from classifier.reports.step import Step
from classifier.reports.summary import Summary, first_users, summary_lines
from classifier.reports.values import center_text, time_text
from tests.support.steps import EMPTY, ManualClock, step_of
from user_classifier import cluster

DAY_MS = 86_400_000
NOON = 1_796_126_400_000  # 2026-12-01 12:00 UTC
VISITS = Feature("visits", "int")
SEEN = Feature("last_seen", "timestamp-millis")
SINCE = Feature("since", "date")
BYTES = Feature("bytes", "float")
THREE = Features((VISITS, SEEN, BYTES))
NAMES = ("rare", "often")
NOW = datetime(2026, 12, 2, tzinfo=UTC)


def step_on(features: Features, rows: list[tuple[float, ...]], n_labels: int = 2, scale: str = "none") -> Step:
    """A step with the client's own fit."""
    totals = np.array(rows, np.float64).reshape(-1, len(features))
    found = cluster(totals, n_labels, scale=scale, units_per_day=features.units_per_day)
    ids = [f"user {number}" for number in range(len(totals))]
    return step_of(ids, totals, found.labels, found.centers, found.scaling, features)


ROWS: list[tuple[float, ...]] = [(1, NOON - 40 * DAY_MS, 0.5), (2, NOON - 42 * DAY_MS, 1.5), (90, NOON, 1234.5)]


def test_the_table_in_full() -> None:
    step = step_on(Features((SEEN, VISITS)), [row[1::-1] for row in ROWS])
    assert "\n".join(summary_lines(step, NAMES)) == (
        """\
label          users    share    mean last_seen      mean visits  centre
0 rare             1    33.3%  2026-12-01 12:00             90.0  2026-12-01 12:00 (age 0.0 days) / 90.0
1 often            2    66.7%  2026-10-21 12:00              1.5  2026-10-21 12:00 (age 41.0 days) / 1.5
all                3   100.0%  2026-11-04 04:00             31.0"""
    )


def test_an_amount_has_its_total_under_any_list() -> None:
    features = Features((BYTES, *TOTALS.items[:1]))
    lines = summary_lines(step_on(features, [(1.0, 2.0), (1.0, 4.0), (100.0, 1000.0)]))
    assert [line.split()[1:6] for line in lines[1:]] == [
        ["2", "66.7%", "1.00", "3.00", "6.00"],
        ["1", "33.3%", "100.00", "1,000.00", "1,000.00"],
        ["3", "100.0%", "34.00", "335.33", "1,006.00"],
    ]
    assert "mean bytes      mean amount        total amount  centre" in lines[0]


def test_dates_have_no_time_of_day() -> None:
    lines = summary_lines(step_on(Features((SINCE,)), [(20_000.0,), (20_001,), (20_100,)]))
    assert lines[1].endswith("2025-01-12  2025-01-12 (age 0.0 days)"), "the newest are label 0"
    assert lines[2].endswith("2024-10-04  2024-10-04 (age 99.5 days)")


def test_first_users_in_full() -> None:
    assert "\n".join(first_users(step_on(THREE, ROWS), NAMES, 2)) == (
        """\
user_id            visits                last_seen               bytes  label
user 0                  1  2026-10-22 12:00:00.000                0.50  0 rare
user 1                  2  2026-10-20 12:00:00.000                1.50  0 rare
... and 1 user more"""
    )


def test_clusters_that_changed_name_their_centres_as_dates() -> None:
    lines: list[str] = []
    clock = ManualClock()
    summary = Summary(lines.append, (), clock)
    features = Features((SINCE,))
    for rows in ([(20_000.0,), (20_001,), (20_100,)], [(20_000.0,), (20_060,), (20_100,)]):
        summary.step(step_on(features, list(rows)))
        clock.now += 1000
    assert lines[-1].endswith(
        "centres: 0 from 2025-01-12 (age 0.0 days) to 2025-01-12 (age 0.0 days),"
        " 1 from 2024-10-04 (age 99.5 days) to 2024-11-03 (age 70.0 days)"
    )


@pytest.mark.parametrize("type_", TIMES)
@pytest.mark.parametrize("value", [0.0, -1e19, 1e19, -1.0, 9.3e14])
def test_any_point_in_time_has_a_text(type_: str, value: float) -> None:
    feature = Feature("t", type_)
    low, high = feature.limits
    text = time_text(feature, min(max(value, float(low)), float(high)))
    assert text.isascii()
    assert "NaT" not in text


def test_a_centre_of_the_totals_is_what_it_was() -> None:
    assert center_text([29.031, 1.25], TOTALS) == "29.03 / 1.2"


# Share of the variance, and what to type


def lines_of(rows: list[tuple[float, ...]], features: Features, scale: str) -> list[str]:
    """The lines on the influence of each feature."""
    totals = np.array(rows, np.float64)
    return influence_lines(totals, fit_scaling(scale, totals, None, features.units_per_day), features)


def test_the_share_of_each_feature() -> None:
    remedy = "the labels depend on bytes nearly alone; to give each feature the same weight: --scale log-standard"
    found = {scale: lines_of(ROWS, THREE, scale) for scale in SCALES}
    assert found["none"][1:] == [remedy]
    assert found["none"][0].endswith("bytes 99.4%")
    assert len(found["log"]) == 1
    for scale in ("standard", "log-standard"):
        assert found[scale] == ["share of the variance that K-means sees: visits 33.3%, last_seen 33.3%, bytes 33.3%"]


def test_no_advice_where_none_helps() -> None:
    assert len(lines_of([(1.0,), (1000.0,)], Features((BYTES,)), "none")) == 1
    assert len(lines_of([(1.0, 7.0), (1000.0, 7.0)], Features((VISITS, BYTES)), "none")) == 1
    assert lines_of([(1.0, 2.0)] * 3, Features((VISITS, BYTES)), "none") == []
    assert influence_lines(EMPTY.totals, Scaling(), TOTALS) == []


def test_log_warns_of_small_values_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    report = SmallValuesWarning(clock)
    step = step_on(Features((VISITS, SEEN)), [(1.0, NOON), (1.0, NOON - DAY_MS), (2.0, NOON - 3 * DAY_MS)], 2, "log")
    with caplog.at_level(logging.WARNING, "user_classifier"):
        for each in (EMPTY._replace(scaling=Scaling("log")), step, step):
            report.step(each)
            clock.now += 60
    assert caplog.messages == [
        "--scale log: small medians (visits 1, last_seen 1 days of age); of values below 10 the logarithm of"
        " 1 + value depends on the unit, and differences count little; free of units: --scale log-standard"
    ]


def test_log_does_not_warn_of_large_values() -> None:
    totals = np.array([[10.0, -1000.0], [10, -500], [7, 3]])
    features = Features((VISITS, BYTES))
    assert small_values_note(totals, Scaling("log"), features) is None
    assert "--scale log: small medians (visits 9); of" in (
        small_values_note(totals - [1, 0], Scaling("log"), features) or ""
    )
    weights = np.array([1, 1, 5])
    assert "(visits 7, bytes 3)" in (small_values_note(totals, Scaling("log"), features, weights) or "")
    assert small_values_note(totals / 100, Scaling("log-standard"), features) is None


# Plot


def drawn(step: Step, plotted: tuple[str, ...] = ()) -> Axes:
    """The axes of the picture, rendered."""
    figure = draw(step, (), NOW, plotted)
    figure.canvas.draw()
    return figure.axes[0]


def many(n_users: int, features: Features = THREE, scale: str = "none") -> Step:
    """A step of many users."""
    rng = np.random.default_rng(4)
    columns = {
        "visits": 1.0 + rng.poisson(3, n_users),
        "last_seen": NOON - 1.0 * rng.integers(0, 400 * DAY_MS, n_users),
        "bytes": rng.lognormal(9, 3, n_users),
        "since": 1.0 * rng.integers(19_000, 20_000, n_users),
    }
    rows = zip(*(columns[name].tolist() for name in features.names), strict=True)
    return step_on(features, list(rows), 3, scale)


@pytest.mark.parametrize("n_users", [50, MAX_DOTS + 100])
@pytest.mark.parametrize("scale", SCALES)
def test_the_axes_are_the_first_two_features_or_those_asked_for(n_users: int, scale: str) -> None:
    step = many(n_users, scale=scale)
    axes = drawn(step)
    assert axes.get_xlabel().split()[0] == "visits"
    assert axes.get_ylabel() == "last_seen"
    assert isinstance(axes.yaxis.get_major_formatter(), ConciseDateFormatter)
    low, high = axes.get_ylim()
    assert low < NOON / DAY_MS - 200 < high < NOON / DAY_MS + 60
    axes = drawn(step, ("bytes", "visits"))
    assert axes.get_xlabel() == "bytes (logarithmic)"
    assert axes.get_ylabel().split()[0] == "visits"
    assert [text.get_text() for text in axes.texts] == ["0", "1", "2"]


@pytest.mark.parametrize("feature", [VISITS, SEEN, SINCE, BYTES], ids=str)
@pytest.mark.parametrize("n_users", [0, 1, 50, MAX_DOTS + 100])
def test_one_feature_is_a_histogram(n_users: int, feature: Feature) -> None:
    step = many(n_users, Features((feature,)))
    axes = drawn(step)
    assert axes.get_xlabel().split()[0] == feature.name
    if n_users:
        assert axes.get_ylabel() == "users"
        assert axes.get_ylim()[1] >= 1
    assert drawn(many(50), (THREE.names[1],)).get_xlabel() == "last_seen"


def test_a_histogram_counts_users_by_weight() -> None:
    totals, labels = np.array([[1.0, 1], [2, 1], [9, 5]]), np.array([0, 0, 1], np.int32)
    step = step_of([], totals, labels, totals[1:])._replace(weights=np.array([10, 20, 70]))
    axes = drawn(step, ("total_amount",))
    assert max(axes.get_ylim()) > 70


@pytest.mark.parametrize("day", [-(2**31), 2**31 - 1, -719_162, 2_932_896])
def test_days_beyond_the_calendar_are_numbers(day: int) -> None:
    step = step_on(Features((SINCE, VISITS)), [(20_000.0, 1), (20_001, 2), (float(day), 3)])
    axes = drawn(step)
    assert axes.get_xlabel() == ("since" if abs(day) < 2**30 else "since (days since 1970)")


def test_whole_numbers_are_spread() -> None:
    totals = np.tile([5.0, 7.0, 9.0], (100, 1))
    for is_whole in ((True, False, True), (False, False, False)):
        spread = spread_counts(totals, is_whole)
        assert (np.ptp(spread, axis=0) > 0.5).tolist() == list(is_whole)
        assert np.abs(spread - totals).max() <= 0.5


# Metrics


def test_centres_are_named_by_feature_and_times_are_seconds() -> None:
    metrics = Metrics(0)
    try:
        metrics.step(step_on(Features((SINCE, SEEN, BYTES)), [(20_000.0, NOON, 5.0)], 1))
        page = metrics.page("/metrics", "")[2].decode()
    finally:
        metrics.close()
    found = [line.split() for line in page.splitlines() if line.startswith("user_classifier_label_center{")]
    assert {name.split('"')[1]: float(value) for name, value in found} == {
        "since": 20_000 * 86_400.0,
        "last_seen": NOON / 1000,
        "bytes": 5.0,
    }
