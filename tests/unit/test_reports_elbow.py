"""The picture of compared numbers of clusters."""

from pathlib import Path

import numpy as np

from classifier.clustering.compare_k import Fit
from classifier.reports import elbow
from classifier.reports.plot import save

FITS = [Fit(2, 0.856, 423_000.0), Fit(3, 0.9521, 3840.0), Fit(4, 0.742, 1623.0)]


def test_the_title_names_the_scale() -> None:
    assert elbow.draw(FITS, 20_000).get_suptitle().startswith("20,000 users; ")
    assert elbow.draw(FITS, 20_000, ", scale log").get_suptitle().startswith("20,000 users, scale log; ")


def test_picture_of_elbow_and_silhouette(tmp_path: Path) -> None:
    figure = elbow.draw(FITS, 20_000)
    left, right = figure.axes
    for axes, values in ((left, [fit.inertia for fit in FITS]), (right, [fit.silhouette for fit in FITS])):
        curve, marked = axes.lines
        assert np.asarray(curve.get_xdata()).tolist() == [2, 3, 4]
        assert np.asarray(curve.get_ydata()).tolist() == values
        assert np.asarray(marked.get_xdata()).tolist() == [3, 3]
    save(figure, tmp_path / "explore.svg")
    assert (tmp_path / "explore.svg").read_bytes().startswith(b"<?xml")
