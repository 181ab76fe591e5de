"""The page with other features than the two totals: one to five, numbers, a timestamp and a date."""

import csv
import io
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.commands.export import columns_of, write_csv
from classifier.features import LABEL, TOTALS, Feature, Features, time_texts
from classifier.reports.plot import MAX_DOTS
from dashboard import figures, picture
from dashboard.axes import AUTOMATIC, LINEAR, LOGARITHMIC, axes_of
from dashboard.bins import Window, count_bins, full_window
from dashboard.figures import order_text
from dashboard.lists import csv_of
from dashboard.picture import View
from dashboard.table import Snapshot, Table
from dashboard.times import MAX_LONG, MAX_TICKS, time_of, time_text, time_ticks
from dashboard.values import heading, value_text

DAY_MS = 86_400_000
MANY = MAX_DOTS + 300  # users that are drawn as bins
NEWEST = 1_796_083_200_000  # 2026-12-01
AMOUNT, COUNT = TOTALS.items
RATE = Feature("failed_share")
VISITS = Feature("visits", "int")
TIME = Feature("last_purchase", "timestamp-millis")
DATE = Feature("first_day", "date")
LISTS = {
    1: (VISITS,),
    2: (TIME, AMOUNT),
    3: (AMOUNT, COUNT, TIME),
    5: (DATE, VISITS, RATE, TIME, AMOUNT),
}
SAMPLES = {AMOUNT: 1_234.5, COUNT: 7, RATE: 0.0123, VISITS: 1_200, TIME: NEWEST, DATE: 20_788}
TEXTS = {
    AMOUNT: "1,234.50",
    COUNT: "7",
    RATE: "0.0123",
    VISITS: "1,200",
    TIME: "2026-12-01 00:00:00.000",
    DATE: "2026-12-01",
}
EACH_LIST = pytest.mark.parametrize("features", [Features(each) for each in LISTS.values()], ids=map(str, LISTS))


def snapshot_of(features: Features, rows: list[tuple[Any, ...]], labels: list[int]) -> Snapshot:
    """A snapshot with these users."""
    table = Table(features)
    table.update([(f"u{at}", row, labels[at]) for at, row in enumerate(rows)], [1] * len(rows))
    return table.snapshot()


def users(features: Features, n_users: int) -> Snapshot:
    """Users of three labels, who differ in every feature; the later a user, the less recent."""
    rows = []
    for number in range(n_users):
        values = {AMOUNT: 1.0 + number, COUNT: 1 + number % 9, RATE: number / n_users, VISITS: number}
        values |= {TIME: NEWEST - number * DAY_MS // 10, DATE: 20_788 - number % 400}
        rows.append(tuple(values[each] for each in features.items))
    return snapshot_of(features, rows, [number * 3 // n_users for number in range(n_users)])


def view_of(features: Features, axes: str = AUTOMATIC) -> View:
    """The view that a page opens with."""
    return View(axes, (*features.names, LABEL)[:2], None, (), False)  # type: ignore[arg-type]


@EACH_LIST
def test_a_user_has_all_features(features: Features) -> None:
    row = tuple(SAMPLES[each] for each in features.items)
    now = snapshot_of(features, [row], [0])
    (found,) = figures.find(now, "u0", 0)
    assert (found.user_id, found.values, found.label, found.changed) == ("u0", row, 0, 1)
    assert list(map(type, found.values)) == [int if whole else float for whole in features.is_whole]
    assert [value_text(*each) for each in zip(features.items, found.values, strict=True)] == [
        TEXTS[each] for each in features.items
    ]
    tooltip = picture.clusters(now, view_of(features)).data[0].text[0]
    shown = [f"{heading(each)} {TEXTS[each]}" for each in features.items]
    assert tooltip == "<br>".join(["<b>u0</b>", "label 0", *shown])


@EACH_LIST
def test_a_list_is_what_an_export_writes(features: Features) -> None:
    now = users(features, 30)
    file = io.BytesIO()
    order = sorted(range(30), key=now.user_ids.__getitem__)
    columns = [[column[order].tolist() for column in now.values], now.labels[order].tolist()]
    write_csv(file, columns_of(features, ()), [[sorted(now.user_ids), *columns[0], columns[1]]])
    assert csv_of(now, None) == file.getvalue()
    heading_, *rows = csv.reader(io.StringIO(csv_of(now, 0).decode()))
    assert heading_ == ["user_id", *features.names, "label"]
    for feature, value in zip(features.items, rows[0][1:], strict=False):
        if feature.units_per_day:
            assert value == time_texts([SAMPLES[feature]], feature.type)[0]


@EACH_LIST
@pytest.mark.parametrize(("axes", "n_users"), [(AUTOMATIC, 1), (LINEAR, 50), (LOGARITHMIC, 50), (AUTOMATIC, MANY)])
def test_features_are_drawn(features: Features, axes: str, n_users: int) -> None:
    """Each with the next one. Every user is in a bin or a dot within the axes, and so is the mean of its label."""
    now = users(features, n_users)
    for names in itertools.pairwise((*features.names, LABEL)):
        both = axes_of(now, names, axes)
        assert count_bins(now, full_window(now, names), both).counts.sum(axis=(1, 2)).tolist() == now.sizes()
        figure = picture.clusters(now, view_of(features, axes)._replace(features=names))
        if n_users <= MAX_DOTS:
            assert sum(len(trace.x) for trace in figure.data[: now.n_labels]) == n_users
        for trace in figure.data[1:] if n_users > MAX_DOTS else figure.data:
            for layout, coordinates in ((figure.layout.xaxis, trace.x), (figure.layout.yaxis, trace.y)):
                low, high = layout.range
                assert all(low < each < high for each in coordinates)


def test_a_feature_alone_has_a_row_for_each_label() -> None:
    now = snapshot_of(Features((VISITS,)), [(1,), (2,), (3,), (50,)], [0, 0, 0, 2])
    figure = picture.clusters(now, view_of(now.features)._replace(names=("few", "<some>", "many")))
    assert figure.layout.xaxis.title.text == "visits"
    assert figure.layout.yaxis.title.text == "label"
    assert list(figure.layout.yaxis.ticktext) == ["0 few", "1 &lt;some&gt;", "2 many"]
    assert [list(np.round(trace.y)) for trace in figure.data[:3]] == [[0, 0, 0], [], [2]]
    assert len(set(figure.data[0].y)) == 3, "dots do not cover each other"
    bins = count_bins(now, full_window(now, ("visits", LABEL)), axes_of(now, ("visits", LABEL), LINEAR))
    assert bins.counts.sum(axis=2).tolist() == [[3, 0, 0], [0, 0, 0], [0, 0, 1]]


def test_points_in_time_are_dates_on_axes_and_in_tooltips() -> None:
    features = Features((TIME, DATE))
    now = users(features, MANY)
    figure = picture.clusters(now, view_of(features, LOGARITHMIC))
    assert figure.layout.xaxis.title.text == "last_purchase (UTC)", "never logarithmic"
    assert figure.layout.yaxis.title.text == "first_day"
    assert "2026-07" in list(figure.layout.xaxis.ticktext)
    assert "2026-07" in list(figure.layout.yaxis.ticktext)
    texts = [text for row in figure.data[0].text for text in row if text]
    assert "<br>last_purchase (UTC) about 2026-" in texts[-1]
    assert "<br>first_day about 2026-" in texts[-1]
    zoomed = Window((NEWEST - 3_600_000.0, 20_000.0), (float(NEWEST), 21_000.0))
    ticks = picture.clusters(now, view_of(features)._replace(window=zoomed)).layout.xaxis.ticktext
    assert "2026-11-30<br>23:30" in ticks


def test_means_are_shown_by_feature() -> None:
    features = Features(LISTS[5])
    now = snapshot_of(
        features,
        [(20_788, 1, 0.01, NEWEST, 1.0), (20_780, 2, 0.02, NEWEST - 36 * 3_600_000, 2.0), (19_000, 9, 0.5, 0, 97.0)],
        [0, 0, 1],
    )
    first, second, whole = figures.label_figures(now)
    assert first == (
        *(0, "2", "66.7%", "3.0%"),
        ["2026-11-27 (age 4.0 days)", "1.5", "0.015", "2026-11-30 06:00 (age 0.8 days)", "1.50"],
    )
    assert second.means == [
        "2022-01-08 (age 1,788.0 days)",
        "9.0",
        "0.50",
        "1970-01-01 00:00 (age 20,788.0 days)",
        "97.00",
    ]
    assert whole.means[1] == "4.0"
    without = snapshot_of(Features((VISITS, TIME)), [(1, NEWEST)], [1])
    assert [each.revenue for each in figures.label_figures(without)] == [None] * 3
    assert figures.label_figures(without)[0].means == ["-", "-"]


def test_a_mean_of_microseconds_is_exact_to_the_second() -> None:
    features = Features((Feature("at", "timestamp-micros"),))
    times = (NEWEST * 1000 + np.arange(-2_000_000, 2_000_001, 40)).tolist()
    now = snapshot_of(features, [(time,) for time in times], [0] * len(times))
    assert figures.means(now)[0, 0] == pytest.approx(NEWEST * 1000, abs=1000)


def test_a_mean_is_marked_at_the_mean_of_the_axis() -> None:
    """On a logarithmic axis that is the mean of the logarithms."""
    features = Features(LISTS[3])
    rows = [(10.0, 1, NEWEST), (1000.0, 3, NEWEST - DAY_MS)]
    now = snapshot_of(features, rows, [0, 0])
    *_, mark = picture.clusters(now, view_of(features, LOGARITHMIC)).data
    assert mark.x == (pytest.approx(2.0),), "that is, 100"
    assert mark.hovertext[0].startswith(
        "mean of label 0<br>total_amount 100.00 (of the logarithms)<br>num_transactions"
    )
    *_, mark = picture.clusters(now, view_of(features, LINEAR)).data
    assert (mark.x, mark.y) == ((505.0,), (2.0,))
    assert mark.hovertext[0] == "mean of label 0<br>total_amount 505.00<br>num_transactions 2.0"
    by_time = view_of(features)._replace(features=(TIME.name, AMOUNT.name))
    *_, mark = picture.clusters(now, by_time).data
    assert mark.x == (NEWEST - DAY_MS / 2,)
    assert "<br>last_purchase (UTC) 2026-11-30 12:00 (age 0.5 days)<br>" in mark.hovertext[0]


def test_new_features_keep_the_users() -> None:
    table = Table()
    table.update([("ann", (1.0, 1), 0), ("bob", (2.0, 2), 1)], [1, 2])
    before = table.snapshot()
    table.clear(Features(LISTS[3]))
    table.update([("bob", (2.0, 2, NEWEST), 0)], [3])
    now = table.snapshot()
    assert (before.features, now.features.names) == (TOTALS, ("total_amount", "num_transactions", "last_purchase"))
    assert (before.sizes(), now.sizes()) == ([1, 1], [1])
    assert table.index_of("bob") == 1
    assert figures.user_at(now, 1).values == (2.0, 2, NEWEST)


@pytest.mark.parametrize(
    ("features", "text"),
    [
        (TOTALS.items, "Users with label 0 spend least."),
        (LISTS[2], "Label 0 has the most recent last_purchase in the mean."),
        (LISTS[1], "Label 0 has the smallest mean visits."),
    ],
)
def test_what_label_0_means(features: tuple[Feature, ...], text: str) -> None:
    assert order_text(Features(features)) == text


@given(
    st.sampled_from([TIME, DATE, Feature("at", "timestamp-micros"), Feature("at", "local-timestamp-millis")]),
    st.floats(-1, 1),
    st.floats(-18, 0),
)
def test_ticks_of_any_time(feature: Feature, low_share: float, digits: float) -> None:
    """Also of years that no calendar has."""
    largest = feature.limits[1]
    low = low_share * largest
    ends = (low, low + max(largest * 10**digits, feature.units_per_day / DAY_MS))
    coordinates, texts = time_ticks(feature, ends)
    assert len(texts) == len(coordinates) <= MAX_TICKS + 2
    assert sorted(coordinates) == coordinates
    assert all(ends[0] <= each <= ends[1] for each in coordinates)
    assert time_text(feature, low)


@pytest.mark.parametrize(
    ("days", "some"),
    [(0.01, "2026-12-01<br>00:05"), (1, "2026-12-01<br>12:00"), (9, "2026-12-05"), (300, "2027-05"), (9000, "2040")],
)
def test_ticks_are_whole_units_of_the_calendar(days: float, some: str) -> None:
    coordinates, texts = time_ticks(TIME, (float(NEWEST), NEWEST + days * DAY_MS))
    assert some in texts
    assert 2 <= len(texts) <= MAX_TICKS + 1
    assert coordinates == sorted(coordinates)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026", "2026-01-01 00:00:00", "2026-12-31 23:59:59"),
        ("2026-02", "2026-02-01 00:00:00", "2026-02-28 23:59:59"),
        ("2026-12-01", "2026-12-01 00:00:00", "2026-12-01 23:59:59"),
        ("2026-12-01 18:30", "2026-12-01 18:30:00", "2026-12-01 18:30:59"),
        ("2026-12-01T18:30:05", "2026-12-01 18:30:05", "2026-12-01 18:30:05"),
    ],
)
def test_a_typed_time_is_all_that_it_means(text: str, first: str, last: str) -> None:
    assert [time_text(TIME, time_of(text, TIME, end=end), "s") for end in (False, True)] == [first, last]
    assert [time_text(DATE, time_of(text, DATE, end=end)) for end in (False, True)] == [first[:10], last[:10]]


@pytest.mark.parametrize("text", ["now", "NaT", "1.12.2026", "2026-12-01Z", "2026-12-01 18", "5"])
def test_a_typed_time_that_is_none(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"last_purchase: .* is no date or time; type e\.g\. 2026-12-01 or 2026-12-01 18:30"
    ):
        time_of(text, TIME, end=False)
    with pytest.raises(ValueError, match="last_purchase: there is no 2026-02-30"):
        time_of("2026-02-30", TIME, end=False)


@pytest.mark.parametrize("value", [-MAX_LONG, MAX_LONG, 0])
def test_extreme_times_are_drawn(value: int) -> None:
    features = Features((TIME, COUNT))
    now = snapshot_of(features, [(value, 1), (NEWEST, 1)], [0, 1])
    figure = picture.clusters(now, view_of(features))
    assert all(figure.layout.xaxis.range[0] < each < figure.layout.xaxis.range[1] for each in figure.data[0].x)
