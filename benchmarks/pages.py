"""Write the measured figures into README.md and docs/: python -m benchmarks.pages

A page holds figures between `<!-- figures: NAME -->` and `<!-- end -->`, as lines of their own or inside a line. The
text in between is generated from benchmarks/results: to change it, edit the function of that name here, not the page.
A line must not begin with such a comment and text, as Markdown takes it for HTML.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.large import Large
from benchmarks.large import row as row_of_large
from benchmarks.measures.latency import RECORDS_PER_SECOND
from benchmarks.plan import MANY_USERS, TARGET_USERS, Plan
from benchmarks.processes import ROOT
from benchmarks.program_runs import AVRO, BYTEWAX, LIMIT, OURS, QUIX
from benchmarks.scale_out.quality import Quality, markdown_lines

RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"(?P<begin><!-- figures: (?P<name>[\w-]+) -->)(?P<text>.*?)(?P<end><!-- end -->)", re.DOTALL)
FEW = 10
HUNDRED = 100
THOUSAND = 1_000
HUNDRED_THOUSAND = 100_000
REQUESTS = {
    TARGET_USERS: "384Mi | 768Mi | 250m",
    HUNDRED_THOUSAND: "512Mi | 1Gi | 500m",
    MANY_USERS: "1Gi | 2Gi | 1",
}
"""Number of users -> requests.memory, limits.memory and requests.cpu, chosen by the measured memory."""


def with_figures(page: str) -> str:
    """Return a page with its figures replaced by those of benchmarks/results."""
    return BLOCK.sub(_block, page)


def _block(found: re.Match[str]) -> str:
    text = FIGURES[found["name"]]()
    if found["text"].startswith("\n"):
        text = f"\n\n{text}\n\n"
    return found["begin"] + text + found["end"]


def pages() -> list[Path]:
    """Return the pages that may have figures."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def write_pages() -> list[Path]:
    """Write the figures into all pages; return the pages that have changed."""
    changed = []
    for path in pages():
        before = path.read_text(encoding="utf-8")
        after = with_figures(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
    return changed


# Results


@cache
def results(name: str) -> dict[str, Any]:
    """Return the content of a file of benchmarks/results."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def runs_of(name: str, n_users: int, n_records: int | None = None) -> dict[str, Any]:
    """Return the runs of a program, by default on its longest input with this number of users."""
    found = [each for each in results("latest")["lines"] if (each["name"], each["n_users"]) == (name, n_users)]
    found = [each for each in found if n_records in (None, each["n_records"])]
    longest: dict[str, Any] = max(found, key=lambda each: each["n_records"])
    return longest


def result_at(measure: str, n_users: int) -> dict[str, Any]:
    """Return the result of a measurement with one number of users."""
    (found,) = (each for each in results("latest")[measure] if each["n_users"] == n_users)
    return dict(found)


def number(value: float) -> str:
    """Return a whole number with thousands separators."""
    return f"{value:,.0f}"


def rate(name: str, n_users: int, n_records: int | None = None) -> str:
    """Return a program's records per second."""
    return number(runs_of(name, n_users, n_records)["records_per_second"]["median"])


def peak(n_users: int) -> str:
    """Return the peak memory of the client on its longest input."""
    return f"{number(runs_of(OURS, n_users)['peak_mib']['median'])} MiB"


def changed_ms(measure: str, n_users: int) -> str:
    """Return milliseconds of a step with 1 % of the users changed, or of `KMeans.fit` alone."""
    return number(result_at("changed_users", n_users)[measure]["median"])


def table(*rows: str) -> str:
    """Return a Markdown table; rows have | between their cells."""
    head, *body = rows
    rule = " | ".join(["---"] * (head.count(" | ") + 1))
    return "\n".join(f"| {row} |" for row in (head, rule, *body))


# The text of each block


def machine() -> str:
    """The machine of the measurements."""
    about = results("latest")["about"]
    python = ".".join(about["versions"]["python"].split(".")[:2])
    return f"{about['cores']} cores with Python {python}"


def rounds() -> str:
    """Number of rounds of the comparison."""
    return number(runs_of(OURS, TARGET_USERS)["records_per_second"]["n"])


def catching_up() -> str:
    """Records per second with 10,000 users."""
    return f"{rate(OURS, TARGET_USERS)} records per second"


def fits() -> str:
    """How long `KMeans.fit` takes."""
    few, more, many = (changed_ms("bare_fit_ms", n_users) for n_users in (TARGET_USERS, HUNDRED_THOUSAND, MANY_USERS))
    return f"{few} ms with 10,000 users, {more} ms with 100,000 and {many} ms with 1,000,000"


def comparison() -> str:
    """The client and other programs on the same input."""
    programs = {
        (LIMIT, "`limit`"): "`consume()` alone with the client's settings, counts records",
        (OURS, "`user_classifier.py`"): "everything, until all labels are committed",
        (BYTEWAX, BYTEWAX): f"last row of each user; {old_rows(BYTEWAX)} of them not the current one",
        (AVRO, AVRO): f"last row of each user, a plain loop; {old_rows(AVRO)} not the current one",
        (QUIX, QUIX): f"last row of each user; {old_rows(QUIX)} not the current one",
    }
    rows = [f"{shown} | {rate(name, TARGET_USERS, Plan.records)} | {text}" for (name, shown), text in programs.items()]
    intro = f"With {number(TARGET_USERS)} users and {number(Plan.records)} records:"
    return f"{intro}\n\n{table('Program | Records per second | What it does', *rows)}"


def old_rows(name: str) -> str:
    """The share of users whose last row is not their current one, at most."""
    return f"{100 * max(runs_of(name, TARGET_USERS, Plan.records)['share_of_old_rows']):.0f} %"


def start_and_end() -> str:
    """Seconds of a run without records, extrapolated from a short and a long run."""
    runs = [runs_of(OURS, TARGET_USERS, Plan.records), runs_of(OURS, TARGET_USERS)]
    (few, short), (many, long) = (
        (run["n_records"], run["n_records"] / run["records_per_second"]["median"]) for run in runs
    )
    return f"{short - few * (long - short) / (many - few):.1f} s"


def sizes() -> str:
    """The client and the limit with several numbers of users."""
    rows = []
    for n_users in (FEW, THOUSAND, TARGET_USERS, HUNDRED_THOUSAND, MANY_USERS):
        n_records = runs_of(OURS, n_users)["n_records"]
        rates = f"{rate(LIMIT, n_users, n_records)} | {rate(OURS, n_users)}"
        rows.append(f"{number(n_users)} | {number(n_records)} | {rates} | {peak(n_users)}")
    rates = "`limit`, records per second | `user_classifier.py`, records per second"
    return table(f"Users | Records | {rates} | Largest memory", *rows)


def steps() -> str:
    """How long a step, a first labelling and a restart take."""
    return "\n".join(f"- {each}" for each in _steps())


def _steps() -> Iterator[str]:
    few = [result_at("one_record", n_users) for n_users in (FEW, HUNDRED, THOUSAND)]
    ours = [number(each["client_cycle_ms"]["median"]) for each in few]
    original = [number(each["original"]["step_ms"]["median"]) for each in few]
    yield (
        "**One step, one record changed:** {} ms with 10 users, {} ms with 100, {} ms with 1,000."
        " The original program takes {}, {} and {} ms."
    ).format(*ours, *original)
    many = (TARGET_USERS, HUNDRED_THOUSAND, MANY_USERS)
    yield (
        "**One step, 1 % of the users changed:** {} ms with 10,000 users, {} ms with 100,000, {} ms with 1,000,000."
        " `KMeans.fit` alone takes {}, {} and {} ms."
    ).format(*(changed_ms(measure, n_users) for measure in ("step_ms", "bare_fit_ms") for n_users in many))
    (first,) = (each for each in results("latest")["targets"] if each["name"].startswith("first labelling"))
    per_second = number(first["measured"]["median"])
    yield f"**First labels of {number(MANY_USERS)} users:** {per_second} per second into Kafka."
    restart = results("latest")["restart"]
    until = f"{restart['first_label_seconds']['median']:.1f} s until the first new label"
    memory = f"{number(restart['peak_mib']['median'])} MiB"
    yield f"**Restart with {number(restart['n_users'])} users:** {until}, {memory}."


def large() -> str:
    """One process with up to ten million users."""
    kinds = "Step | `KMeans.fit` alone | Ratio | Step, `--fit cells` | `KMeans.fit` alone | Ratio"
    head = f"Users | First labels | Memory | With an abort | Restart, to the first new label | {kinds}"
    return table(head, *(" | ".join(row_of_large(Large(**each))) for each in results("large")["sizes"]))


def latency() -> str:
    """From a record to its label."""
    found = results("latest")["latency"]
    load = f"{number(RECORDS_PER_SECOND)} records per second and {number(found['n_users'])} users"
    return f"{load}: {found['median']:.2f} s (median), {found['p99']:.2f} s (99th percentile)"


def resources() -> str:
    """Memory and CPU to request from Kubernetes."""
    head = "Users, up to | Largest memory measured | `requests.memory` | `limits.memory` | `requests.cpu`"
    return table(head, *(f"{number(n_users)} | {peak(n_users)} | {more}" for n_users, more in REQUESTS.items()))


def moved_labels() -> str:
    """Labels that move and inertia, for each scale and number of clusters."""
    found = results("latest")["segments"]
    moves = {(each["scale"], each["n_clusters"], each["fit"]): each["percent"]["median"] for each in found["moves"]}
    rows = []
    for each in found["inertias"]:
        moved = " | ".join(f"{moves[each['scale'], each['n_clusters'], fit]:.1f} %" for fit in ("users", "cells"))
        above = " | ".join(f"{round(each[fit], 2) or 0:+.2f} %" for fit in ("users", "cells"))
        rows.append(f"`{each['scale']}` | {each['n_clusters']} | {moved} | {above}")
    moved = "Labels that move, `--fit users` | `--fit cells`"
    return table(f"`--scale` | Clusters | {moved} | Inertia, `--fit users` | `--fit cells`", *rows)


def most_moved() -> str:
    """The step in which most labels move."""
    (percent,) = (
        each["percent"]
        for each in results("latest")["segments"]["moves"]
        if (each["scale"], each["fit"], each["n_clusters"]) == ("log", "cells", 5)
    )
    return f"{percent['n']}, with `log` and 5 clusters, {percent['max']:.1f} % move"


def group_steps() -> str:
    """How long a step with --fit cells takes."""
    found = {each["scale"]: each["steps"] for each in results("latest")["cell_steps"]}
    (n_users,) = {each["n_users"] for each in found.values()}
    plain, log = (f"{number(found[scale]['step_ms']['median'])} ms" for scale in ("none", "log"))
    least, most = sorted(each["bare_fit_ms"]["median"] for each in found.values())
    return (
        f"{number(n_users)} users, a step with 1 % of them changed takes {plain} with `--fit cells` and {log} with"
        f" `--fit cells --scale log`; `KMeans.fit` alone on the same users takes {number(least)} to {number(most)} ms"
    )


def cell_quality() -> str:
    """The inertia lost by labels of cells."""
    return "\n".join(markdown_lines([Quality(**each) for each in results("scale_out")["quality"]]))


def through_flink() -> str:
    """Rates with the local Flink."""
    found = results("scale_out")["through_flink"]
    return (
        f"{number(found['n_users'])} lognormal users were counted at {number(found['counted_per_second'])} users per"
        f" second and labelled at {number(found['labelled_per_second'])}, each statement on at most one core, with"
        f" {found['wrong_counts']} wrong counts of cells; {number(found['n_labels'])} cells got a label, from a client"
        f" that took {_client_gib()}"
    )


def cell_memory() -> str:
    """Memory of the client with --cells."""
    return f"{_client_gib()} with {results('scale_out')['through_flink']['n_users'] // 10**6} million users"


def _client_gib() -> str:
    return f"{results('scale_out')['through_flink']['client_peak_mib'] / 1024:.1f} GiB"


FIGURES: dict[str, Callable[[], str]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        *(machine, rounds, catching_up, fits, comparison, start_and_end, sizes, steps, large, latency, resources),
        *(moved_labels, most_moved, group_steps, cell_quality, through_flink, cell_memory),
    )
}


def main() -> int:
    """Write the pages and name those that have changed."""
    for path in write_pages():
        print(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
