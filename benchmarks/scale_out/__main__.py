"""Simulate the scale-out for a number of users: python -m benchmarks.scale_out --users 1e9."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.processes import ROOT
from benchmarks.table import columns

LOCAL = ROOT / ".local" / "bench" / "results"
MIN_USERS = 1e6
MAX_USERS = 1e10


def number_of_users(text: str) -> float:
    """Parse a number of users, such as 1e9."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not MIN_USERS <= number <= MAX_USERS:
        raise argparse.ArgumentTypeError(
            f"users must be a number from {MIN_USERS:.0e} to {MAX_USERS:.0e}, got {text!r}"
        )
    return number


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = argparse.ArgumentParser(
        prog="python -m benchmarks.scale_out",
        description="Simulate the scale-out for a number of users: cells, state, rates, cores; the client really runs.",
    )
    result.add_argument("--users", type=number_of_users, default=1e9, metavar="N", help="default: 1e9")
    result.add_argument(
        "--output",
        type=Path,
        default=LOCAL,
        metavar="DIR",
        help="directory of the table and the plot (default: .local/bench/results)",
    )
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, print the table, save it and draw it; return 0."""
    arguments = parser().parse_args(argv)
    from benchmarks.scale_out.factors import FACTORS
    from benchmarks.scale_out.plot import draw
    from benchmarks.scale_out.simulation import HEAD, rows, simulate

    began = time.monotonic()
    found = []
    for each in simulate(arguments.users):
        found.append(each)
        print(f"{each.population}, {each.n_users:,.0f} users", file=sys.stderr)
    print("\n".join(columns([HEAD, *rows(found)], texts={0})))
    for name, factor in FACTORS.items():
        print(f"{factor.origin:<10}  {name.lower().replace('_', ' ')}: {factor.value:g} {factor.unit}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    table = arguments.output / "simulation.json"
    plot = arguments.output / "simulation.png"
    table.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n", encoding="utf-8")
    draw(found, plot)
    print(f"written: {table.name}, {plot.name}; {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
