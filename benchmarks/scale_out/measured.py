"""make bench BENCH=--scale-out: labels by cells beside labels by users, and a million users through Flink."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.plan import MANY_USERS
from benchmarks.progress import Progress
from benchmarks.scale_out.quality import lines, qualities
from benchmarks.scale_out.through_flink import through_flink
from tests.support.cdnow import cdnow_file

NAME = "scale_out.json"
SIGNIFICANT = 4


def run(n_users: int | None, directory: Path, progress: Progress) -> str:
    """Measure, save; return what is to be printed."""
    number = n_users or MANY_USERS
    progress.say(f"{number:,} users: labels by cells and by users")
    found = []
    for each in qualities(number, cdnow_file()):
        found.append(each)
        progress.say(f"{each.population}, {each.n_clusters} clusters: {100 * each.lost:.4f} % of the inertia lost")
    progress.say(f"{number:,} users through Flink")
    rates = through_flink(number, progress.say)
    directory.mkdir(parents=True, exist_ok=True)
    document = rounded({"quality": [asdict(each) for each in found], "through_flink": asdict(rates)})
    (directory / NAME).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return "\n".join([*lines(found), "", *rate_lines(asdict(rates))])


def rate_lines(rates: dict[str, Any]) -> Iterator[str]:
    """What was measured through Flink, a line each."""
    return (f"{name.replace('_', ' ')}: {value:,.1f}" for name, value in rates.items())


def rounded(found: Any) -> Any:
    """The same with as many digits as mean something."""
    if isinstance(found, dict):
        return {name: rounded(value) for name, value in found.items()}
    if isinstance(found, list):
        return [rounded(each) for each in found]
    return float(f"{found:.{SIGNIFICANT}g}") if isinstance(found, float) else found
