"""The figures of speed on the pages are those of benchmarks/results/latest.json, and there are no others.

Each sentence and row with such a figure is written here as it follows from the file. After a new run of `make bench`
these tests say which of them the pages do not have.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from benchmarks.large import Large, cells
from benchmarks.line import AVRO, BYTEWAX, LIMIT, OURS, QUIX
from benchmarks.measures.latency import RECORDS_PER_SECOND
from benchmarks.plan import MANY_USERS, TARGET_USERS, Plan
from tests.support.client import ROOT
from tests.support.pages import CHANGELOG, HOW_IT_WORKS, PAGES, README, RUNNING, SEGMENTS, SPEED, Page

RESULTS = json.loads((ROOT / "benchmarks" / "results" / "latest.json").read_text(encoding="utf-8"))
LARGE = ROOT / "benchmarks" / "results" / "large.json"
FIGURE = re.compile(r"\d[\d,.]* (?:records per second|labels per second|per second into|ms\b|MiB\b)|\d+\.\d+ s\b")
"""What can only have been measured: rates, milliseconds, memory, and seconds that are no whole ones."""

FEW, HUNDRED, THOUSAND, HUNDRED_THOUSAND = 10, 100, 1_000, 100_000


# What was measured


def line(name: str, n_users: int, n_records: int | None = None) -> dict[str, Any]:
    """A program on an input, the longest with so many users if none is named."""
    found = [each for each in RESULTS["lines"] if (each["name"], each["n_users"]) == (name, n_users)]
    found = [each for each in found if n_records in (None, each["n_records"])]
    longest: dict[str, Any] = max(found, key=lambda each: each["n_records"])
    return longest


def at(measure: str, n_users: int) -> Any:
    """What a measure that is taken at several numbers of users found at one."""
    (found,) = (each for each in RESULTS[measure] if each["n_users"] == n_users)
    return found


def number(value: float) -> str:
    """A whole number, thousands apart."""
    return f"{value:,.0f}"


def rate(name: str, n_users: int, n_records: int | None = None) -> str:
    """Records per second."""
    return number(line(name, n_users, n_records)["records_per_second"]["median"])


def old_rows(name: str) -> str:
    """The share of users whose last row is not their current one, at most, as the benchmark's own table says it."""
    return f"{100 * max(line(name, TARGET_USERS, Plan.records)['share_of_old_rows']):.0f} %"


def changed_ms(measure: str, n_users: int) -> str:
    """Milliseconds with 1 % of the users changed, or of a fit."""
    return number(at("changed_users", n_users)[measure]["median"])


def fit_ms(n_users: int) -> str:
    """Milliseconds of `KMeans.fit` alone."""
    return changed_ms("bare_fit_ms", n_users)


def step_ms(n_users: int) -> str:
    """Milliseconds from one step of one record to the next."""
    return number(at("one_record", n_users)["client_cycle_ms"]["median"])


def original(measure: Callable[[Any], float], n_users: int) -> str:
    """Of the original program."""
    return number(measure(at("one_record", n_users)["original"]))


def original_ms(n_users: int) -> str:
    """Milliseconds of its step."""
    return original(lambda found: found["step_ms"]["median"], n_users)


def original_rate(n_users: int) -> str:
    """Its records per second."""
    return original(lambda found: found["records_per_second"], n_users)


def start_and_end_seconds() -> str:
    """Where the line through a short and a long run of the client meets no records at all."""
    runs = [line(OURS, TARGET_USERS, Plan.records), line(OURS, TARGET_USERS)]
    (few, short), (many, long) = (
        (run["n_records"], run["n_records"] / run["records_per_second"]["median"]) for run in runs
    )
    return f"{short - few * (long - short) / (many - few):.1f}"


def first_labels() -> str:
    """Labels per second of the first labelling."""
    (found,) = (each for each in RESULTS["targets"] if each["name"].startswith("first labelling"))
    return number(found["measured"]["median"])


# What the pages say of it


@cache
def told() -> dict[Page, list[str]]:
    """The sentences and rows with figures, by page."""
    return {
        README: list(readme()),
        HOW_IT_WORKS: list(how_it_works()),
        RUNNING: list(resources()),
        SPEED: [*conditions(), *comparison(), *sizes(), *steps(), *large(), *latency()],
        SEGMENTS: list(segments()),
        CHANGELOG: list(changelog()),
    }


def readme() -> Iterator[str]:
    yield f"A fit takes {fit_ms(TARGET_USERS)} ms with 10,000 users and {fit_ms(MANY_USERS)} ms with 1,000,000."
    yield f"{rate(OURS, TARGET_USERS)} records per second while catching up with 10,000 "


def how_it_works() -> Iterator[str]:
    fits = (fit_ms(n_users) for n_users in (TARGET_USERS, HUNDRED_THOUSAND, MANY_USERS))
    yield "A fit takes {} ms with 10,000 users, {} ms with 100,000 and {} ms with 1,000,000.".format(*fits)


def resources() -> Iterator[str]:
    for n_users in (TARGET_USERS, HUNDRED_THOUSAND, MANY_USERS):
        yield f"| {number(n_users)} | {number(line(OURS, n_users)['peak_mib']['median'])} MiB |"


def conditions() -> Iterator[str]:
    about, runs = RESULTS["about"], line(OURS, TARGET_USERS)["records_per_second"]["n"]
    python = ".".join(about["versions"]["python"].split(".")[:2])
    yield f"on {about['cores']} cores with Python {python} (`benchmarks/results/latest.json`)"
    yield f"medians of {runs} alternating rounds"
    yield f"the other programs run once at other numbers of users than {number(TARGET_USERS)}."


def comparison() -> Iterator[str]:
    n_records = Plan.records
    yield f"Catching up with {number(TARGET_USERS)} users and {number(n_records)} records:"
    does = {
        (LIMIT, "`limit`"): "`consume()` alone with the client's settings, counts records",
        (OURS, "`user_classifier.py`"): "everything, until all labels are committed",
        (BYTEWAX, BYTEWAX): f"last row of each user; {old_rows(BYTEWAX)} of them not the current one",
        (AVRO, AVRO): f"last row of each user, a plain loop; {old_rows(AVRO)} not the current one",
        (QUIX, QUIX): f"last row of each user; {old_rows(QUIX)} not the current one",
    }
    for (name, shown), what in does.items():
        yield f"| {shown} | {rate(name, TARGET_USERS, n_records)} | {what} |"


def sizes() -> Iterator[str]:
    yield f"Starting and ending takes the client {start_and_end_seconds()} s,"
    for n_users in (FEW, THOUSAND, TARGET_USERS, HUNDRED_THOUSAND, MANY_USERS):
        ours = line(OURS, n_users)
        limit = rate(LIMIT, n_users, ours["n_records"])
        cells = [number(n_users), number(ours["n_records"]), limit, rate(OURS, n_users)]
        yield f"| {' | '.join(cells)} | {number(ours['peak_mib']['median'])} MiB |"


def steps() -> Iterator[str]:
    few, sizes = (FEW, HUNDRED, THOUSAND), (TARGET_USERS, HUNDRED_THOUSAND, MANY_USERS)
    yield (
        "**One step, one record changed:** {} ms with 10 users, {} ms with 100, {} ms with 1,000."
        " The original program takes {}, {} and {} ms."
    ).format(*map(step_ms, few), *map(original_ms, few))
    yield (
        "**One step, 1 % of the users changed:** {} ms with 10,000 users, {} ms with 100,000, {} ms with 1,000,000."
        " `KMeans.fit` alone takes {}, {} and {} ms."
    ).format(*(changed_ms("step_ms", n_users) for n_users in sizes), *map(fit_ms, sizes))
    yield f"**First labels of {number(MANY_USERS)} users:** {first_labels()} per second into Kafka."
    restart = RESULTS["restart"]
    seconds, peak = restart["first_label_seconds"]["median"], number(restart["peak_mib"]["median"])
    yield f"**Restart with {number(restart['n_users'])} users:** {seconds:.1f} s until the first new label, {peak} MiB."


def large() -> Iterator[str]:
    """What benchmarks/results/large.json holds, or that there is none."""
    if not LARGE.exists():
        yield "No run of it is kept yet."
        return
    for found in json.loads(LARGE.read_text(encoding="utf-8"))["sizes"]:
        yield f"| {' | '.join(cells(Large(**found)))} |"


def latency() -> Iterator[str]:
    found = RESULTS["latency"]
    yield (
        f"At {number(RECORDS_PER_SECOND)} records per second and {number(found['n_users'])} users:"
        f" {found['median']:.2f} s (median), {found['p99']:.2f} s (99th percentile)."
    )


def segments() -> Iterator[str]:
    found = RESULTS["segments"]
    moves = {(each["scale"], each["n_clusters"], each["fit"]): each["percent"]["median"] for each in found["moves"]}
    assert {each["n_runs"] for each in found["inertias"]} == {Plan.best_of}
    yield f"the {number(found['n_customers'])} customers of CDNOW, step by step of 1,000 purchases"
    yield f"the best of {Plan.best_of} runs of k-means++ on all users"
    (percent,) = (
        each["percent"]
        for each in found["moves"]
        if (each["scale"], each["fit"], each["n_clusters"]) == ("log", "cells", 5)
    )
    yield f"In one step of {percent['n']}, with `log` and 5 clusters, {percent['max']:.1f} % move:"
    on_cells, bare = {each["scale"]: each["steps"] for each in RESULTS["cell_steps"]}, "bare_fit_ms"
    (n_users,) = {steps["n_users"] for steps in on_cells.values()}
    fits = sorted(number(steps[bare]["median"]) for steps in on_cells.values())
    yield (
        f"With {number(n_users)} users a step with 1 % of them changed takes"
        f" {number(on_cells['none']['step_ms']['median'])} ms with `--fit cells`, with `--scale log`"
        f" {number(on_cells['log']['step_ms']['median'])} ms; `KMeans.fit` alone on the same users takes"
        f" {' to '.join(fits)} ms."
    )
    for each in found["inertias"]:
        key = each["scale"], each["n_clusters"]
        moved = [f"{moves[*key, fit]:.1f} %" for fit in ("users", "cells")]
        above = [f"{round(each[fit], 2) or 0:+.2f} %" for fit in ("users", "cells")]
        yield f"| `{each['scale']}` | {each['n_clusters']} | {' | '.join([*moved, *above])} |"


def changelog() -> Iterator[str]:
    few = (FEW, HUNDRED, THOUSAND)
    yield "{} records per second with 10 users, {} with 100, {} with 1,000.".format(*map(original_rate, few))
    yield f"{rate(OURS, FEW)} records per second with 10 users, {rate(OURS, THOUSAND)} with 1,000."
    yield f"{original_ms(THOUSAND)} ms for a record with 1,000 users,"
    yield (
        f"{rate(OURS, TARGET_USERS)} records per second while catching up with 10,000 users,"
        f" {rate(OURS, MANY_USERS)} with 1,000,000."
    )
    yield f"{fit_ms(TARGET_USERS)} ms a fit at 10,000 users, {fit_ms(MANY_USERS)} ms at 1,000,000."


@pytest.mark.parametrize(
    ("page", "sentence"), [(page, sentence) for page, sentences in told().items() for sentence in sentences], ids=str
)
def test_a_figure_is_the_one_that_was_measured(page: Page, sentence: str) -> None:
    assert page.text.count(sentence) == 1, f"{page} must say: {sentence}"


@pytest.mark.parametrize("page", [*PAGES, CHANGELOG], ids=str)
def test_no_other_figures_of_speed_are_told(page: Page) -> None:
    assert FIGURE.findall(without_what_was_measured(page)) == []


def test_the_page_on_speed_has_no_other_figures_at_all() -> None:
    rest = without_what_was_measured(SPEED)
    known = ["1 %", "99th percentile", "default 1 s"]
    for each in known:
        rest = rest.replace(each, "")
    assert re.findall(r"[^\n]*\d[^\n]*", rest) == []


def test_the_table_of_segments_has_no_other_rows() -> None:
    rows = [row for row in SEGMENTS.text.splitlines() if re.match(r"\| `\w+` \| \d", row)]
    assert rows == [row for row in told()[SEGMENTS] if row.startswith("|")]


def without_what_was_measured(page: Page) -> str:
    """The prose of a page without the sentences of above."""
    text = page.prose
    for sentence in told().get(page, []):
        text = text.replace(sentence, "")
    return text
