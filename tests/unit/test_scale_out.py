"""The simulation of the scale-out: sampling by cell equals sampling by user; factors, quality, command lines."""

import io
import json

import numpy as np
import pytest
from fastavro import parse_schema, schemaless_reader

from benchmarks.__main__ import parser as bench_parser
from benchmarks.scale_out import factors
from benchmarks.scale_out.__main__ import parser
from benchmarks.scale_out.client_cost import ClientCost
from benchmarks.scale_out.densities import DENSITIES, sample
from benchmarks.scale_out.measured import rounded
from benchmarks.scale_out.populations import COPIES, POPULATIONS
from benchmarks.scale_out.quality import markdown_lines, quality
from benchmarks.scale_out.simulation import HEAD, Simulated, rows
from classifier.cells.lattice import cells_at
from tests.support.users import varint

ONE = Simulated("lognormal", 1e9, 124_000, 635_000, 170_000, ClientCost(1.5, 0.2, 309.0))


@pytest.mark.parametrize("name", DENSITIES)
def test_sampling_by_cell_equals_sampling_by_user(name: str) -> None:
    n_users = 200_000
    totals = POPULATIONS[name](np.random.default_rng(2), n_users)
    by_user, counts = np.unique(cells_at(totals), return_counts=True)
    cells, users = sample(DENSITIES[name], n_users, np.random.default_rng(3))
    assert users.sum() == pytest.approx(n_users, rel=0.01)
    assert len(cells) == pytest.approx(len(by_user), rel=0.05)
    assert users.max() == pytest.approx(counts.max(), rel=0.2)
    assert cells.tolist() == sorted(set(cells.tolist()))


@pytest.mark.parametrize("name", POPULATIONS)
def test_totals_count_each_transaction_twice(name: str) -> None:
    totals = POPULATIONS[name](np.random.default_rng(1), 1_000)
    assert (totals >= 0).all()
    assert (totals[:, 1] % COPIES == 0).all()
    assert totals == pytest.approx(np.round(totals, 2))


def test_the_cost_of_a_thousand_million_users() -> None:
    assert (ONE.transactions, ONE.records, ONE.cores) == (100_000, 400_000, 80)
    assert pytest.approx(69) == ONE.written_mb
    assert pytest.approx(119.01, abs=0.01) == ONE.state_gb
    assert pytest.approx(12_264) == ONE.dollars
    assert pytest.approx(69.4, abs=0.1) == ONE.first_load_minutes
    assert pytest.approx(28.3, abs=0.1) == ONE.longest_stall
    (row,) = rows([ONE])
    assert len(row) == len(HEAD)


def test_each_factor_has_an_origin() -> None:
    assert {each.origin for each in factors.FACTORS.values()} == {"measured", "documented", "assumed"}


def test_labels_by_cells_lose_nothing_for_distant_groups() -> None:
    rng = np.random.default_rng(4)
    totals = np.vstack([rng.normal(center, (10, 1), (300, 2)) for center in ((100, 10), (1_000, 50), (5_000, 200))])
    found = quality("groups", totals, 3)
    assert (found.same, found.at_borders) == (1.0, 0.0)
    assert found.lost == pytest.approx(0, abs=1e-12)
    assert markdown_lines([found])[-1].startswith("| groups | 3 | ")


@pytest.mark.parametrize("number", [0, 1, 63, 64, 8_191, 8_192, 2**40])
def test_whole_numbers_are_written_in_the_format_of_avro(number: int) -> None:
    assert schemaless_reader(io.BytesIO(varint(number)), parse_schema("long"), None) == number


def test_command_lines() -> None:
    assert parser().parse_args(["--users", "1e7"]).users == 1e7
    assert bench_parser().parse_args(["--scale-out"]).scale_out
    for wrong in ("1", "1e12", "many"):
        with pytest.raises(SystemExit):
            parser().parse_args(["--users", wrong])


def test_figures_are_saved_with_four_significant_digits() -> None:
    assert json.dumps(rounded({"a": [1.23456789, 7], "b": "x"})) == '{"a": [1.235, 7], "b": "x"}'
