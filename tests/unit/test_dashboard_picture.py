"""The cluster plot of the page: points for few users, bins for many, and readable axes at any zoom."""

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.features import TOTALS
from classifier.reports.plot import COLOURS, MARKERS, MAX_DOTS, Scale
from dashboard import figures, picture
from dashboard.axes import AUTOMATIC, LINEAR, LOGARITHMIC, Axis, axes_of, ticks, value_at
from dashboard.bins import Window, count_bins, frame_of, full_window
from dashboard.history import Point
from dashboard.picture import View, colour_of, symbol_of
from dashboard.table import Snapshot, Table

BOTH = (TOTALS.names[0], TOTALS.names[1])
FEW = View(AUTOMATIC, BOTH, None, ("little", "<much>"), False)


def snapshot_of(totals: NDArray[np.float64], labels: NDArray[np.int32]) -> Snapshot:
    """A snapshot with these users."""
    table = Table()
    rows = [(f"<u{at}>", (float(amount), int(count)), int(labels[at])) for at, (amount, count) in enumerate(totals)]
    table.update(rows, [1] * len(rows))
    return table.snapshot()


@pytest.fixture(scope="module")
def many() -> Snapshot:
    """More users than are drawn one by one, of three labels."""
    random = np.random.default_rng(1)
    counts = np.maximum(1, random.lognormal(2, 1, MAX_DOTS + 500)).astype(int)
    totals = np.column_stack((np.round(counts * random.lognormal(3, 0.5, len(counts)), 2), counts))
    return snapshot_of(totals, np.searchsorted([100.0, 300.0], totals[:, 0]).astype(np.int32))


@pytest.mark.parametrize("axes", [AUTOMATIC, LINEAR, LOGARITHMIC])
def test_every_user_is_counted_in_a_bin(many: Snapshot, axes: str) -> None:
    bins = count_bins(many, full_window(many, BOTH), axes_of(many, BOTH, axes))
    assert bins.counts.sum(axis=(1, 2)).tolist() == many.sizes()


def test_a_user_is_counted_in_the_right_bin() -> None:
    totals = np.array([[0.0, 1.0], [1.0, 1.0], [1000.0, 400.0]])
    snapshot = snapshot_of(totals, np.array([0, 0, 1], np.int32))
    bins = count_bins(snapshot, full_window(snapshot, BOTH), axes_of(snapshot, BOTH, LINEAR))
    low = bins.counts[0]
    high = bins.counts[1]
    assert low[:3, :5].sum() == low.sum() == 2
    assert high[-3:, -5:].sum() == high.sum() == 1


def test_a_window_has_smaller_bins(many: Snapshot) -> None:
    window = Window((50.0, 2.0), (500.0, 20.0))
    inside = window.contains(many.points(BOTH))
    bins = count_bins(many, window, axes_of(many, BOTH, LINEAR))
    assert bins.counts.sum() == inside.sum()
    first = bins.x[bins.counts.sum(axis=(0, 1)) > 0]
    assert 40 < first[0] < 60
    assert 490 < first[-1] < 520


def test_a_window_with_new_limits() -> None:
    window = Window((1.0, 2.0), (90.0, 80.0))
    assert window.with_limits(*window.limits) == window.with_limits(None, None, None, None) == window
    assert window.with_limits(5.0, None, None, 7.0) == ((5.0, 2.0), (90.0, 7.0))
    assert window.with_limits(99.0, None, 3.0, 1.0) == ((99.0, 3.0), (99.0, 3.0)), (
        "empty, but the high limits are not below the low ones"
    )


def test_many_users_are_drawn_as_bins_and_few_as_points(many: Snapshot) -> None:
    kinds = [trace.type for trace in picture.clusters(many, FEW).data]
    assert kinds == ["heatmap", "scatter", "scatter", "scatter"]
    few = picture.clusters(many, FEW._replace(window=Window((50.0, 2.0), (80.0, 9.0))))
    amounts, counts = many.values
    inside = (amounts >= 50) & (amounts <= 80) & (counts >= 2) & (counts <= 9)
    assert sum(len(trace.x) for trace in few.data[:3]) == inside.sum()
    assert few.layout.xaxis.title.text == "total_amount (logarithmic)"


def test_a_window_without_users_has_a_note(many: Snapshot) -> None:
    (note,) = picture.clusters(many, FEW._replace(window=Window((1e8, 1.0), (1e9, 2.0)))).layout.annotations
    assert note.text == "no users here"
    assert picture.clusters(many, FEW).layout.annotations == ()


def test_the_tooltip_of_a_bin_has_its_users_by_label(many: Snapshot) -> None:
    heatmap = picture.clusters(many, FEW).data[0]
    total = count_bins(many, full_window(many, BOTH), axes_of(many, BOTH, AUTOMATIC)).counts.sum(axis=0)
    row, column = np.unravel_index(total.argmax(), total.shape)
    assert heatmap.text[row][column].startswith(f"<b>{total.max():,} users</b><br>label ")
    assert np.isnan(heatmap.z[total == 0]).all()
    assert not np.isnan(heatmap.z[total > 0]).any()


def test_a_bin_has_the_colour_of_its_most_frequent_label(many: Snapshot) -> None:
    """Each label has an interval of the colour scale."""
    heatmap = picture.clusters(many, FEW).data[0]
    counts = count_bins(many, full_window(many, BOTH), axes_of(many, BOTH, AUTOMATIC)).counts
    occupied = counts.sum(axis=0) > 0
    assert (np.floor(heatmap.z[occupied] * 3) == counts.argmax(axis=0)[occupied]).all()


def test_tooltips_of_points_are_escaped() -> None:
    snapshot = snapshot_of(np.array([[10.0, 1.0], [2000.5, 3.0]]), np.array([0, 1], np.int32))
    first, second, *means = picture.clusters(snapshot, FEW).data
    assert first.text[0] == "<b>&lt;u0&gt;</b><br>label 0 little<br>total_amount 10.00<br>num_transactions 1"
    assert second.text[0].startswith("<b>&lt;u1&gt;</b><br>label 1 &lt;much&gt;<br>total_amount 2,000.50")
    assert [trace.name for trace in (first, second)] == ["0 little: 1 user, 50.0%", "1 &lt;much&gt;: 1 user, 50.0%"]
    assert [trace.text[0] for trace in means] == ["<b>0</b>", "<b>1</b>"]


def test_a_label_without_users_has_no_mean() -> None:
    snapshot = snapshot_of(np.array([[10.0, 1.0], [20.0, 3.0]]), np.array([0, 2], np.int32))
    assert np.isnan(figures.means(snapshot)[:-1]).tolist() == [[False, False], [True, True], [False, False]]
    picture.clusters(snapshot, FEW)


@pytest.mark.parametrize("axes", [AUTOMATIC, LINEAR, LOGARITHMIC])
@pytest.mark.parametrize(
    "totals", [[[0.0, 0.0]], [[5.0, 1.0]], [[-5.0, 0.0], [1e9, 3.0]], [[1e150, 1.0], [-1e150, 9.0], [1e-9, 9.0]]]
)
def test_totals_of_any_kind_are_drawn(axes: str, totals: list[list[float]]) -> None:
    snapshot = snapshot_of(np.array(totals), np.zeros(len(totals), np.int32))
    figure = picture.clusters(snapshot, FEW._replace(axes=axes))
    low, high = figure.layout.xaxis.range
    assert low < high
    assert all(low <= x <= high for x in figure.data[0].x)


@pytest.mark.parametrize("scale", [Scale("linear", 1.0), Scale("log", 1.0), Scale("symlog", 0.01)])
def test_value_at_is_the_inverse_of_forward(scale: Scale) -> None:
    values = np.array([0.5, 7.0, 12_345.0])
    assert [value_at(scale, coordinate) for coordinate in scale.forward(values).tolist()] == pytest.approx(
        values.tolist()
    )


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.0, 1e4, [1.0, 10.0, 100.0, 1000.0, 10_000.0]),
        (120.0, 690.0, [200.0, 300.0, 400.0, 500.0, 600.0]),
        (101.0, 101.5, [101.0, 101.1, 101.2, 101.3, 101.4, 101.5]),
    ],
)
def test_ticks_at_any_zoom(low: float, high: float, expected: list[float]) -> None:
    scale = Scale("log", 1.0)
    first, last = scale.forward(np.array([low, high])).tolist()
    assert ticks(scale, (first, last)) == pytest.approx(expected)


def test_axes_have_a_margin() -> None:
    amount, count = map(Axis, TOTALS.items)
    frame = frame_of(Window((0.0, 5.0), (100.0, 5.0)), (amount, count))
    assert frame.low.tolist() == pytest.approx([-4.0, 4.46])
    assert frame.high.tolist() == pytest.approx([104.0, 5.54])
    same = frame_of(Window((7.0, 0.1), (7.0, 0.1)), (amount, count._replace(scale=Scale("log", 1.0))))
    assert (same.low[0], same.high[0]) == (6.5, 7.5)
    assert np.isfinite(same.low[1])


def test_counts_of_one_are_spread(many: Snapshot) -> None:
    bins = count_bins(many, full_window(many, BOTH), axes_of(many, BOTH, LOGARITHMIC))
    rows = bins.counts.sum(axis=(0, 2))
    assert rows[0] <= rows.max() / 2


def test_colours_and_markers_are_those_of_the_plot() -> None:
    assert [colour_of(label, False) for label in range(11)] == [*COLOURS, COLOURS[0]]
    assert len({symbol_of(label) for label in range(len(MARKERS))}) == len(MARKERS)
    dark = [colour_of(label, True) for label in range(10)]
    assert len(set(dark)) == 10
    assert "#000000" not in dark


def test_sizes_up_to_now() -> None:
    points = [Point(10.0, [1, 2]), Point(20.0, [1, 2, 3])]
    figure = picture.sizes_over_time(points, 30.0, FEW)
    assert [list(trace.y) for trace in figure.data] == [[1, 1, 1], [2, 2, 2], [0, 3, 3]]
    assert [trace.text[-1] for trace in figure.data] == [" 0", " 1", " 2"]
    assert picture.sizes_over_time([], 30.0, FEW).data == ()
