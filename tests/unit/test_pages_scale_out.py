"""Constants on docs/scale-out.md are those of the code and of the simulation."""

import json

import pytest

from benchmarks.scale_out import factors
from benchmarks.scale_out.quality import Quality
from classifier.cells import intake, lattice
from tests.support.client import ROOT
from tests.support.pages import Page

PAGE = Page(ROOT / "docs" / "scale-out.md")
RESULTS = json.loads((ROOT / "benchmarks" / "results" / "scale_out.json").read_text(encoding="utf-8"))


def test_no_more_is_lost_than_the_page_says() -> None:
    worst = max((Quality(**each) for each in RESULTS["quality"]), key=lambda each: each.lost)
    assert (worst.population, worst.n_clusters) == ("seed", 10)
    assert worst.lost <= 0.001
    assert "0.1 %" in PAGE.section("What labels lose")


@pytest.mark.parametrize(
    ("section", "constant"),
    [
        ("How it works", f"{lattice.AMOUNT_BINS:.0f} amount bins"),
        ("How it works", f"{lattice.COUNT_BINS:.0f} count bins"),
        ("How it works", f"{lattice.SPREAD[0]} x {lattice.SPREAD[1]} points"),
        ("What is exact and what is eventual", f"{lattice.MAX_LATTICE_CELLS:,}"),
        ("Finer cells", f"{100 * intake.MAX_SHARE_AT_BORDERS:.0f} %"),
        ("What it costs", f"{factors.INPUT_RECORDS.value:.0f} per transaction"),
        ("What it costs", f"{factors.WRITTEN_BYTES.value:.0f} bytes per transaction"),
        ("What it costs", f"{factors.JOIN_BYTES.value:.0f} bytes"),
        ("What it costs", f"{factors.RECORDS_PER_CORE.value:,.0f} records"),
        ("What it costs", f"${factors.CFU_HOUR.value}"),
        ("What it costs", f"{factors.LABELLED_PER_CORE.value:,.0f} users per second"),
        ("What it costs", f"{100 * factors.FLIPS.value:.3f} %"),
        ("An upsert table of totals", f"{factors.UPSERT_BYTES.value - factors.JOIN_BYTES.value:.0f} bytes"),
    ],
)
def test_constants_are_those_of_the_code(section: str, constant: str) -> None:
    assert constant in PAGE.section(section)
