"""Simulate the scale-out for a number of users: python -m benchmarks.scale_out --users 1e9."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.programs import ROOT
from benchmarks.table import columns

LOCAL = ROOT / ".local" / "bench" / "results"
LEAST, MOST = 1e6, 1e10


def number_of_users(text: str) -> float:
    """Parse a number such as 1e9."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not LEAST <= number <= MOST:
        raise argparse.ArgumentTypeError(f"users must be a number from {LEAST:.0e} to {MOST:.0e}, got {text!r}")
    return number


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.scale_out",
        description="What a number of users comes to: cells, state, rates, cores, and the client's part, which is run.",
    )
    made.add_argument("--users", type=number_of_users, default=1e9, metavar="N", help="default: 1e9")
    made.add_argument("--output", type=Path, default=LOCAL, metavar="DIR", help="where table and picture go")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, print the table, save it and draw it."""
    arguments = parser().parse_args(argv)
    from benchmarks.scale_out.factors import FACTORS
    from benchmarks.scale_out.picture import draw
    from benchmarks.scale_out.simulation import HEAD, rows, simulate

    began, found = time.monotonic(), []
    for each in simulate(arguments.users):
        found.append(each)
        print(f"{each.population}, {each.n_users:,.0f} users", file=sys.stderr)
    print("\n".join(columns([HEAD, *rows(found)], texts={0})))
    for name, factor in FACTORS.items():
        print(f"{factor.origin:<10}  {name.lower().replace('_', ' ')}: {factor.value:g} {factor.unit}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    table, picture = arguments.output / "simulation.json", arguments.output / "simulation.png"
    table.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n", encoding="utf-8")
    draw(found, picture)
    print(f"written: {table.name}, {picture.name}; {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
