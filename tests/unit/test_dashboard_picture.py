"""The page's picture: points for few users, counted cells for many, axes that can be read at any size."""

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.reports.plot import COLOURS, MARKERS, MAX_DOTS, Scale
from dashboard import picture
from dashboard.bins import AUTOMATIC, LINEAR, LOGARITHMIC, Window, count_bins, framed, scales_of, value_at, whole
from dashboard.history import Point
from dashboard.picture import View, colour_of, symbol_of, ticks
from dashboard.table import Snapshot, Table

FEW = View(AUTOMATIC, None, ("little", "<much>"), False)


def snapshot_of(totals: NDArray[np.float64], labels: NDArray[np.int32]) -> Snapshot:
    """A snapshot with these users."""
    table = Table()
    rows = [(f"<u{at}>", (float(amount), int(count)), int(labels[at])) for at, (amount, count) in enumerate(totals)]
    table.take(rows, [1] * len(rows))
    return table.snapshot()


@pytest.fixture(scope="module")
def many() -> Snapshot:
    """More users than are drawn one by one, of three labels."""
    random = np.random.default_rng(1)
    counts = np.maximum(1, random.lognormal(2, 1, MAX_DOTS + 500)).astype(int)
    totals = np.column_stack((np.round(counts * random.lognormal(3, 0.5, len(counts)), 2), counts))
    return snapshot_of(totals, np.searchsorted([100.0, 300.0], totals[:, 0]).astype(np.int32))


@pytest.mark.parametrize("axes", [AUTOMATIC, LINEAR, LOGARITHMIC])
def test_every_user_is_counted_in_a_cell(many: Snapshot, axes: str) -> None:
    cells = count_bins(many, whole(many), scales_of(many, axes))
    assert cells.counts.sum(axis=(1, 2)).tolist() == many.sizes()


def test_a_user_is_counted_where_it_lies() -> None:
    totals = np.array([[0.0, 1.0], [1.0, 1.0], [1000.0, 400.0]])
    snapshot = snapshot_of(totals, np.array([0, 0, 1], np.int32))
    cells = count_bins(snapshot, whole(snapshot), scales_of(snapshot, LINEAR))
    low, high = cells.counts[0], cells.counts[1]
    assert low[:3, :5].sum() == low.sum() == 2
    assert high[-3:, -5:].sum() == high.sum() == 1


def test_a_window_counts_those_in_it_more_finely(many: Snapshot) -> None:
    window = Window((50.0, 2.0), (500.0, 20.0))
    inside = (many.amounts >= 50) & (many.amounts <= 500) & (many.counts >= 2) & (many.counts <= 20)
    cells = count_bins(many, window, scales_of(many, LINEAR))
    assert cells.counts.sum() == inside.sum()
    first = cells.columns[cells.counts.sum(axis=(0, 1)) > 0]
    assert 40 < first[0] < 60
    assert 490 < first[-1] < 520


def test_a_window_is_bounded_where_ends_are_given() -> None:
    window = Window((1.0, 2.0), (90.0, 80.0))
    assert window.part(*window.ends) == window.part(None, None, None, None) == window
    assert window.part(5.0, None, None, 7.0) == ((5.0, 2.0), (90.0, 7.0))
    assert window.part(99.0, None, 3.0, 1.0) == ((99.0, 3.0), (99.0, 3.0)), "an empty one, and none that ends before"


def test_many_are_drawn_as_density_and_few_as_points(many: Snapshot) -> None:
    kinds = [trace.type for trace in picture.clusters(many, FEW).data]
    assert kinds == ["heatmap", "scatter", "scatter", "scatter"]
    few = picture.clusters(many, FEW._replace(window=Window((50.0, 2.0), (80.0, 9.0))))
    inside = (many.amounts >= 50) & (many.amounts <= 80) & (many.counts >= 2) & (many.counts <= 9)
    assert sum(len(trace.x) for trace in few.data[:3]) == inside.sum()
    assert few.layout.xaxis.title.text == "total_amount (logarithmic)"


def test_a_part_where_nobody_lies_says_so(many: Snapshot) -> None:
    (note,) = picture.clusters(many, FEW._replace(window=Window((1e8, 1.0), (1e9, 2.0)))).layout.annotations
    assert note.text == "nobody lies here"
    assert picture.clusters(many, FEW).layout.annotations == ()


def test_a_cell_says_what_is_in_it(many: Snapshot) -> None:
    heatmap = picture.clusters(many, FEW).data[0]
    total = count_bins(many, whole(many), scales_of(many, AUTOMATIC)).counts.sum(axis=0)
    row, column = np.unravel_index(total.argmax(), total.shape)
    assert heatmap.text[row][column].startswith(f"<b>{total.max():,} users</b><br>label ")
    assert np.isnan(heatmap.z[total == 0]).all()
    assert not np.isnan(heatmap.z[total > 0]).any()


def test_the_colour_of_a_cell_is_that_of_most_users_in_it(many: Snapshot) -> None:
    """A value lies in the stretch of the scale that belongs to the label."""
    heatmap = picture.clusters(many, FEW).data[0]
    counts = count_bins(many, whole(many), scales_of(many, AUTOMATIC)).counts
    there = counts.sum(axis=0) > 0
    assert (np.floor(heatmap.z[there] * 3) == counts.argmax(axis=0)[there]).all()


def test_points_say_who_they_are_and_nothing_else_gets_into_the_page() -> None:
    snapshot = snapshot_of(np.array([[10.0, 1.0], [2000.5, 3.0]]), np.array([0, 1], np.int32))
    first, second, *means = picture.clusters(snapshot, FEW).data
    assert first.text[0] == "<b>&lt;u0&gt;</b><br>label 0 little<br>total_amount 10.00<br>num_transactions 1"
    assert second.text[0].startswith("<b>&lt;u1&gt;</b><br>label 1 &lt;much&gt;<br>total_amount 2,000.50")
    assert [trace.name for trace in (first, second)] == ["0 little: 1 user, 50.0%", "1 &lt;much&gt;: 1 user, 50.0%"]
    assert [trace.text[0] for trace in means] == ["<b>0</b>", "<b>1</b>"]


def test_a_label_without_users_has_no_mean() -> None:
    snapshot = snapshot_of(np.array([[10.0, 1.0], [20.0, 3.0]]), np.array([0, 2], np.int32))
    assert np.isnan(picture.means(snapshot)).tolist() == [[False, False], [True, True], [False, False]]
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
def test_positions_and_values_are_inverse(scale: Scale) -> None:
    values = np.array([0.5, 7.0, 12_345.0])
    assert [value_at(scale, at) for at in scale.forward(values).tolist()] == pytest.approx(values.tolist())


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (1.0, 1e4, [1.0, 10.0, 100.0, 1000.0, 10_000.0]),
        (120.0, 690.0, [200.0, 300.0, 400.0, 500.0, 600.0]),
        (101.0, 101.5, [101.0, 101.1, 101.2, 101.3, 101.4, 101.5]),
    ],
)
def test_ticks_at_any_size(low: float, high: float, told: list[float]) -> None:
    scale = Scale("log", 1.0)
    first, last = scale.forward(np.array([low, high])).tolist()
    assert ticks(scale, (first, last)) == pytest.approx(told)


def test_axes_leave_room() -> None:
    linear, logarithmic = Scale("linear", 1.0), Scale("log", 1.0)
    frame = framed(Window((0.0, 5.0), (100.0, 5.0)), (linear, linear))
    assert frame.low.tolist() == pytest.approx([-4.0, 4.46])
    assert frame.high.tolist() == pytest.approx([104.0, 5.54])
    same = framed(Window((7.0, 0.1), (7.0, 0.1)), (linear, logarithmic))
    assert (same.low[0], same.high[0]) == (6.5, 7.5)
    assert np.isfinite(same.low[1])


def test_counts_of_one_are_not_heaped_at_the_edge(many: Snapshot) -> None:
    cells = count_bins(many, whole(many), scales_of(many, LOGARITHMIC))
    rows = cells.counts.sum(axis=(0, 2))
    assert rows[0] <= rows.max() / 2


def test_colours_and_shapes_are_those_of_the_plot() -> None:
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
