"""make bench BENCH=--scale-out: labels by cells compared with labels by users, and a million users through Flink."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.plan import MANY_USERS
from benchmarks.progress import Progress
from benchmarks.scale_out.quality import markdown_lines, qualities
from benchmarks.scale_out.through_flink import through_flink
from tests.support.cdnow import cdnow_file

NAME = "scale_out.json"
SIGNIFICANT = 4


def run(n_users: int | None, directory: Path, progress: Progress) -> str:
    """Measure and save the results; return the printed report."""
    number = n_users or MANY_USERS
    progress.log(f"{number:,} users: labels by cells and by users")
    found = []
    for each in qualities(number, cdnow_file()):
        found.append(each)
        progress.log(f"{each.population}, {each.n_clusters} clusters: {100 * each.lost:.4f} % of the inertia lost")
    progress.log(f"{number:,} users through Flink")
    rates = through_flink(number, progress.log)
    directory.mkdir(parents=True, exist_ok=True)
    document = rounded({"quality": [asdict(each) for each in found], "through_flink": asdict(rates)})
    (directory / NAME).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return "\n".join([*markdown_lines(found), "", *rate_lines(asdict(rates))])


def rate_lines(rates: dict[str, Any]) -> Iterator[str]:
    """Return the rates through Flink as lines."""
    return (f"{name.replace('_', ' ')}: {value:,.1f}" for name, value in rates.items())


def rounded(found: Any) -> Any:
    """Return the value with all floats rounded to significant digits."""
    if isinstance(found, dict):
        return {name: rounded(value) for name, value in found.items()}
    if isinstance(found, list):
        return [rounded(each) for each in found]
    return float(f"{found:.{SIGNIFICANT}g}") if isinstance(found, float) else found
