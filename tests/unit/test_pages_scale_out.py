"""The figures of docs/scale-out.md are those of benchmarks/results/scale_out.json, and of the simulation's factors."""

import json

import pytest

from benchmarks.scale_out import factors
from benchmarks.scale_out.quality import Quality, lines
from classifier.cells import intake, lattice
from tests.support.client import ROOT
from tests.support.pages import Page

PAGE = Page(ROOT / "docs" / "scale-out.md")
RESULTS = json.loads((ROOT / "benchmarks" / "results" / "scale_out.json").read_text(encoding="utf-8"))
FOUND = [Quality(**each) for each in RESULTS["quality"]]


@pytest.mark.parametrize("line", lines(FOUND))
def test_what_labels_lose_is_what_was_measured(line: str) -> None:
    assert line in PAGE.section("What labels lose").splitlines()


def test_no_more_is_lost_than_the_page_says() -> None:
    assert "The loss is at most 0.1 %. It is largest for ten clusters of one blob (`seed`" in PAGE.text
    most = max(FOUND, key=lambda each: each.lost)
    assert (most.population, most.n_clusters, most.lost <= 0.001) == ("seed", 10, True)


def test_rates_through_flink_are_those_measured() -> None:
    found = RESULTS["through_flink"]
    counted, labelled = found["counted_per_second"], found["labelled_per_second"]
    assert found["wrong_counts"] == 0
    assert f"counted at {counted:,.0f} users a second and labelled at {labelled:,.0f}, each" in PAGE.text
    assert f"{found['n_users']:,} lognormal users" in PAGE.text
    peak = f"{found['client_peak_mib'] / 1024:.1f} GiB"
    assert f"{found['n_labels']:,} cells got a label, by a client that took {peak}" in PAGE.text
    assert f"{peak} with {found['n_users'] // 10**6} million users" in PAGE.text


def test_constants_on_the_page_are_those_of_the_code() -> None:
    assert f"{lattice.AMOUNT_BINS:.0f} amount bins for each factor of e" in PAGE.text
    assert f"{lattice.COUNT_BINS:.0f} count bins in" in PAGE.text
    assert f"{lattice.SPREAD[0]} x {lattice.SPREAD[1]} points" in PAGE.text
    assert f"beyond the {lattice.LARGEST_LATTICE:,} that are labelled at most" in PAGE.text
    assert f"above {100 * intake.MOST_AT_BORDERS:.0f} %" in PAGE.text


@pytest.mark.parametrize(
    "told",
    [
        f"measured: {factors.INPUT_RECORDS.value:.0f} per transaction",
        f"measured: {factors.WRITTEN_BYTES.value:.0f} bytes per transaction",
        f"{factors.JOIN_BYTES.value:.0f} bytes each",
        f"assumed: {factors.RECORDS_PER_CORE.value:,.0f} records a second and core",
        f"documented: ${factors.CFU_HOUR.value} per CFU and hour",
        f"measured: {factors.LABELLED_PER_CORE.value:,.0f} users per second and core",
        f"measured: {100 * factors.FLIPS.value:.3f} %",
        f"{factors.UPSERT_BYTES.value - factors.JOIN_BYTES.value:.0f} bytes more state per user",
    ],
)
def test_factors_on_the_page_are_those_of_the_simulation(told: str) -> None:
    assert told in PAGE.text
