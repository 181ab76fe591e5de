"""The picture of the clusters: where and when it is drawn, and that users are visibly apart in it."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from classifier.clustering.scaling import Scaling
from classifier.reports.output_file import check_path
from classifier.reports.plot import (
    COLOURS,
    MARKERS,
    MAX_DOTS,
    PALEST,
    REDRAW_SECONDS,
    ClusterPlot,
    count_hexagons,
    draw,
    paint,
    scale_for,
    short,
)
from classifier.reports.step import Step
from tests.support.planted import files_of_at_most
from tests.support.steps import EMPTY, ManualClock, made_step, step_of
from user_classifier import cluster

STEP = made_step([("ann", 98.0, 3, 0), ("bob", 102.5, 4, 0), ("cem", 608.8, 13, 1), ("dee", 2100.0, 36, 2)])
NOW = datetime(2026, 11, 24, 10, 11, 12, tzinfo=UTC)


def skewed(n_users: int) -> NDArray[np.float64]:
    """Most users spend little, a few a thousand times more."""
    rng = np.random.default_rng(7)
    counts = 1 + rng.negative_binomial(1, 1 / 20, n_users)
    return np.column_stack((counts * rng.lognormal(3, 1.3, n_users), counts)).astype(np.float64)


def clustered(totals: NDArray[np.float64], n_clusters: int = 3) -> Step:
    """A step with the client's own fit."""
    found = cluster(totals, n_clusters)
    return step_of([], totals, found.labels, found.centers)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("clusters.gif", "cannot draw .gif files; end it in .png, .svg or .pdf"),
        ("clusters", "the name has no suffix; end it in .png, .svg or .pdf"),
        ("folder.png", "is a folder; give the path of a file"),
        ("no/where/clusters.png", "there is no folder {here}/no/where; to create it: mkdir -p {here}/no/where"),
    ],
)
def test_a_path_that_cannot_be_drawn_to(name: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match=r".") as raised:
        ClusterPlot(tmp_path / name)
    assert str(raised.value) == f"{tmp_path / name}: {complaint.format(here=tmp_path)}"


def test_a_folder_without_permission_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)  # root may write to any folder
    with pytest.raises(ValueError, match=f"no permission to write to the folder {tmp_path}; choose another one"):
        check_path(tmp_path / "clusters.png")


def test_a_folder_with_too_long_a_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder"):
        check_path(tmp_path / ("x" * 300) / "a.png")


@pytest.mark.parametrize(("name", "begins"), [("c.png", b"\x89PNG"), ("c.SVG", b"<?xml"), ("c.pdf", b"%PDF")])
def test_the_suffix_chooses_the_format(name: str, begins: bytes, tmp_path: Path) -> None:
    plot = ClusterPlot(tmp_path / name)
    plot.step(STEP)
    assert (tmp_path / name).read_bytes().startswith(begins)
    assert [path.name for path in tmp_path.iterdir()] == [name], "no temporary file is left"


def test_redrawn_every_ten_seconds_and_at_the_end(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "c.svg"
    plot = ClusterPlot(path, clock=clock)

    def drawn() -> bool:
        found = path.exists()
        path.unlink(missing_ok=True)
        return found

    plot.step(STEP)
    assert drawn()
    clock.now += REDRAW_SECONDS - 0.1
    plot.step(STEP)
    assert not drawn()
    clock.now += 0.1
    plot.read(0, 0)
    assert drawn()
    plot.step(STEP)
    assert not drawn()
    plot.close()
    assert drawn()


def test_a_failure_to_write_does_not_stop_the_client(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "deleted"
    folder.mkdir()
    plot = ClusterPlot(folder / "c.png")
    folder.rmdir()
    with caplog.at_level(logging.WARNING, "user_classifier"):
        plot.step(STEP)
    assert caplog.messages == [f"{folder / 'c.png'}: not drawn (No such file or directory)"]


def test_a_picture_half_written_does_not_replace_the_old_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "c.png"
    path.write_bytes(b"old")
    with files_of_at_most(1000):
        ClusterPlot(path).step(STEP)
    assert caplog.messages == [f"{path}: not drawn (File too large)"]
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("c.png", b"old")]


def texts(figure: Figure) -> list[str]:
    """The texts of the legend."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_title_legend_and_numbers_at_the_centres() -> None:
    figure = draw(STEP, ("stingy", "stan$dard", "_rich"), NOW)
    axes = figure.axes[0]
    assert axes.get_title() == "4 users, 2026-11-24 10:11:12 UTC"
    assert texts(figure) == [
        "0 stingy\n2 users, 50.0%",
        "1 stan\\$dard\n1 user, 25.0%",
        "2 _rich\n1 user, 25.0%",
    ]
    assert [text.get_text() for text in axes.texts] == ["0", "1", "2"]
    assert np.array([text.get_position() for text in axes.texts]) == pytest.approx(STEP.centers)


def test_no_users_yet() -> None:
    figure = draw(EMPTY, (), NOW)
    assert [text.get_text() for text in figure.axes[0].texts] == ["no users yet"]


def test_few_users_are_dots_that_differ_in_colour_and_shape() -> None:
    collections = draw(STEP, (), NOW).axes[0].collections
    colours = {np.asarray(each.get_facecolor()).tobytes() for each in collections}
    shapes = {np.asarray(each.get_paths()[0].vertices).tobytes() for each in collections}
    assert (len(colours), len(shapes)) == (3, 3)
    assert [np.asarray(each.get_offsets()).tolist() for each in collections] == [
        STEP.totals[STEP.labels == label].tolist() for label in range(3)
    ]


def test_ten_labels_have_ten_colours_and_ten_shapes() -> None:
    assert len(set(COLOURS)) == len(set(MARKERS)) == 10


def painted(figure: Figure) -> NDArray[np.float64]:
    """The colours of the visible hexagons."""
    (hexagons,) = (each for each in figure.axes[0].collections if isinstance(each, PolyCollection))
    colours = np.asarray(hexagons.get_facecolor())
    return colours[colours[:, 3] > 0]


@pytest.mark.parametrize("n_users", [MAX_DOTS + 1, 50_000])
def test_skewed_users_are_spread_over_many_hexagons(n_users: int) -> None:
    step = clustered(skewed(n_users))
    assert len(painted(draw(step, (), NOW))) > 500, "hexagons with users"


def test_even_data_leaves_no_rows_of_hexagons_empty() -> None:
    rng = np.random.default_rng(3)
    counts = rng.integers(1, 41, 100_000)
    totals = np.column_stack((counts * rng.uniform(99, 101, len(counts)), counts)).astype(np.float64)
    figure = draw(clustered(totals), (), NOW)
    (hexagons,) = figure.axes[0].collections
    visible = np.asarray(hexagons.get_facecolor())[:, 3] > 0
    centers = np.asarray(hexagons.get_offsets())
    heights = np.unique(centers[visible, 1])
    all_heights = np.unique(centers[:, 1])
    within = all_heights[(all_heights >= heights[0]) & (all_heights <= heights[-1])]
    assert heights.tolist() == within.tolist()


def test_every_user_is_counted_in_a_hexagon() -> None:
    points = np.random.default_rng(1).normal(size=(10_000, 2))
    labels = np.arange(10_000, dtype=np.int32) % 3
    low, high = points.min(axis=0), points.max(axis=0)
    extent = (low[0], high[0], low[1], high[1])
    _, counts = count_hexagons(Figure().subplots(), points, labels, 4, extent)
    assert counts.sum(axis=1).tolist() == [3334, 3333, 3333, 0]


def test_a_hexagon_has_the_colour_of_most_of_its_users_deeper_the_more() -> None:
    hexagons = PolyCollection([])
    paint(hexagons, np.array([[0.0, 1, 10, 40], [0.0, 0, 90, 2]]))
    first, second = (np.array(to_rgb(COLOURS[label])) for label in (0, 1))
    colours = np.asarray(hexagons.get_facecolor())
    assert colours[:, 3].tolist() == [0, 1, 1, 1]
    assert colours[1, :3] == pytest.approx(1 - PALEST * (1 - first))
    assert colours[2, :3] == pytest.approx(second)
    assert (colours[3, :3] < colours[1, :3]).any()
    assert (colours[3, :3] >= first - 1e-9).all()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([10.0, 100, 200, 300], "linear"),
        ([-5.0, 0, 5], "linear"),
        ([0.0, 0, 0], "linear"),
        ([7.0], "linear"),
        ([1.0, 1, 2, 500], "log"),
        ([0.0, 1, 1, 2, 500], "symlog"),
        ([-2.0, 1, 1, 2, 500], "symlog"),
        ([-1e150, 1, 2, 1e150, 3], "symlog"),
    ],
)
def test_scale(values: list[float], kind: str) -> None:
    column = np.array(values)
    scale = scale_for(column)
    assert scale.kind == kind
    ascending = np.unique(column)
    assert (np.diff(scale.forward(ascending)) > 0).all(), "order is kept"
    assert np.isfinite(scale.forward(column)).all()


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([1.0, 1, 2, 500], [0.1, 1, 10, 100, 1000]),
        ([0.0, 1, 1, 2, 500], [0, 1, 10, 100, 1000]),
        ([-200.0, 3, 3, 20, 3000], [-1000, -100, -10, -1, 0, 1, 10, 100, 1000, 10_000]),
    ],
)
def test_ticks_are_powers_of_ten(values: list[float], ticks: list[float]) -> None:
    column = np.array(values)
    assert scale_for(column).ticks(column) == pytest.approx(ticks)


def test_ticks_of_a_very_long_axis_stay_few() -> None:
    column = np.array([1e-150, 1.0, 1.0, 1e150])
    assert 5 < len(scale_for(column).ticks(column)) <= 12


def test_short_numbers() -> None:
    values = (0, 0.01, 7, 250, 1000, 1.5e6, 2e9, 3e12, 1e15, -1e4, 1e-5)
    assert [short(value) for value in values] == [
        *("0", "0.01", "7", "250", "1k", "1.5M", "2G", "3T", "1e+15", "-10k", "1e-05"),
    ]


def test_a_logarithmic_fit_is_drawn_on_logarithmic_axes_and_named() -> None:
    for scale, label in (("none", "total_amount"), ("log", "total_amount (logarithmic)")):
        (axes,) = draw(STEP._replace(scaling=Scaling(scale)), (), NOW).axes
        assert axes.get_xlabel() == label
        assert (", scale log" in axes.get_title()) is (scale == "log")
