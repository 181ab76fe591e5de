"""The lattice of --cells: the same in SQL, plain Python and the client; points, corners and the reach of labels."""

import math
import re
import struct

import numpy as np
import pytest

from classifier.cells import lattice
from classifier.cells.lattice import STRIDE, Totals, cells_at, corners, lattice_up_to, middles, points_in
from local.sql.workspace import SQL_DIRECTORY
from tests.support import cell_oracle

EXPRESSION = re.compile(
    r"(\d+) \* CAST\(FLOOR\((\d+) \* LN\(1 \+ GREATEST\(COALESCE\(total_amount, 0\), 0\)\)\) AS INT\)"
    r"\s+\+ CAST\(FLOOR\((\d+) \* LN\(1 \+ GREATEST\(COALESCE\(num_transactions, 0\), 0\)\)\) AS INT\) AS cell"
)
CELLS = np.array([0, 11, 177_011, 600_025, 1_181_000, 2_358_110, 5_305_220])


@pytest.mark.parametrize("name", ["2_insert_user_cells", "4_insert_user_labeling"])
def test_the_statements_have_the_constants_of_the_client(name: str) -> None:
    text = (SQL_DIRECTORY / "scale_out" / f"{name}.sql").read_text(encoding="utf-8")
    assert EXPRESSION.findall(text) == [(str(STRIDE), f"{lattice.AMOUNT_BINS:.0f}", f"{lattice.COUNT_BINS:.0f}")]


def doubles_around(value: float) -> list[float]:
    """A double and its nearest neighbours."""
    return [value, math.nextafter(value, math.inf), math.nextafter(value, -math.inf)]


def borders(per_e_fold: float, numbers: range) -> list[float]:
    """Doubles on both sides of the borders of bins, and the whole numbers next to them."""
    at = [math.exp(number / per_e_fold) - 1 for number in numbers]
    return [each for x in at for each in (*doubles_around(x), math.floor(x), math.ceil(x))]


def test_cells_of_doubles_around_borders_are_those_of_plain_arithmetic() -> None:
    amounts = borders(lattice.AMOUNT_BINS, range(1, 6_000, 7))
    counts = [max(0, math.floor(x)) for x in borders(lattice.COUNT_BINS, range(1, 500))]
    for totals in (np.array([(x, 3.0) for x in amounts]), np.array([(1.0, float(n)) for n in counts])):
        expected = [cell_oracle.cell_of(*row) for row in totals.tolist()]
        # Logarithms of two libraries may differ in the last bit (numpy 1.26's in 2 of 100), which matters only for an
        # amount exactly on a border.
        differ = np.flatnonzero(cells_at(totals) != expected)
        assert len(differ) <= len(totals) / 20
        assert not np.isin(totals[differ], np.floor(totals[differ])).all(axis=1).any()


@pytest.mark.parametrize(
    ("totals", "cell"),
    [
        ((0.0, 0), 0),
        ((-5.0, 0), 0),
        ((-0.0, 1), 11),
        ((1.0, 1), 177_011),
        ((100.0, 2), 1_181_017),
        ((1e9, 10**6), 5_305_221),
        ((5e-324, 0), 0),
        ((1e150, 2**63 - 1), 88_419_698),
    ],
)
def test_hand_computed_cells(totals: tuple[float, float], cell: int) -> None:
    assert cells_at(np.array([totals])).tolist() == [cell] == [cell_oracle.cell_of(*totals)]


def test_every_count_bin_of_a_bigint_is_below_the_stride() -> None:
    assert cells_at(np.array([(0.0, 2.0**63)])) < STRIDE


def test_a_signed_bit_pattern_does_not_matter() -> None:
    """No amount of a user, but SQL reads doubles of any bits."""
    tiny = struct.unpack("<d", struct.pack("<Q", 1))[0]
    assert cells_at(np.array([(tiny, 0.0), (-tiny, 0.0)])).tolist() == [0, 0]


@pytest.mark.parametrize("spread", [(4, 2), (1, 1), (3, 5)])
def test_points_are_those_of_plain_arithmetic(spread: tuple[int, int]) -> None:
    expected = [point for cell in CELLS.tolist() for point in cell_oracle.points(cell, *spread)]
    assert points_in(CELLS, spread) == pytest.approx(np.array(expected), rel=1e-9)


def test_points_and_middles_are_in_their_cell() -> None:
    """Of cells in which users can be: those with a whole number of transactions."""
    cells = cells_at(np.array([(x, float(n)) for x in (0.001, 1.0, 37.5, 1e4, 1e9) for n in (0, 1, 2, 7, 100, 10**6)]))
    assert cells_at(middles(cells)).tolist() == cells.tolist()
    amount_bins = cells_at(points_in(cells)) // STRIDE
    assert amount_bins.tolist() == np.repeat(cells // STRIDE, 8).tolist()


def test_one_transaction_is_one_and_no_more() -> None:
    """The cell of one transaction has no other whole number, so its points are not spread."""
    assert set(points_in(np.array([177_011]))[:, 1]) == {1.0}
    assert corners(np.array([177_011]))[:, 1].tolist() == [1.0] * 4


def test_corners_enclose_all_users_of_a_cell() -> None:
    rng = np.random.default_rng(5)
    totals: Totals = np.column_stack((rng.lognormal(4, 2, 5_000), rng.integers(0, 500, 5_000).astype(np.float64)))
    around = corners(cells_at(totals)).reshape(-1, 4, 2)
    assert (around.min(axis=1) <= totals + 1e-9).all()
    assert (totals <= around.max(axis=1) + 1e-9).all()


def test_the_lattice_reaches_four_times_as_far() -> None:
    cells = cells_at(np.array([(10.0, 1.0), (2.0, 9.0)]))
    found = set(lattice_up_to(cells).tolist())
    assert found == set(cell_oracle.lattice(dict.fromkeys(cells.tolist(), 1), lattice.REACH))
    assert set(cells_at(np.array([(0.0, 0.0), (10.0, 9.0), (39.0, 35.0)])).tolist()) <= found
    assert not found & set(cells_at(np.array([(50.0, 1.0), (1.0, 60.0)])).tolist())


def test_there_is_no_lattice_without_users() -> None:
    assert len(lattice_up_to(np.empty(0, np.int64))) == 0


def test_a_user_very_far_away_does_not_make_the_lattice_huge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lattice, "MAX_LATTICE_CELLS", 100_000)
    far = cells_at(np.array([(3.0, 2.0), (1e150, 1e15)]))
    found = lattice_up_to(far)
    assert len(found) <= lattice.MAX_LATTICE_CELLS + 1
    assert found.tolist() == sorted(set(found.tolist()))
    assert set(far.tolist()) <= set(found.tolist())
    assert found[-1] <= lattice.LARGEST_CELL
