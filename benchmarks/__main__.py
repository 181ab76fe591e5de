"""Measure, print one table, save it and draw it: python -m benchmarks [--quick]."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.plan import QUICK, Plan
from benchmarks.programs import ROOT
from benchmarks.progress import Progress

MEASURES = ("original", "changed_users", "segments", "restart", "latency", "start_up")
LINES = ("limit", "user_classifier", "AvroDeserializer", "Quix Streams", "Bytewax")
COMMITTED = ROOT / "benchmarks" / "results"
LOCAL = ROOT / ".local" / "bench" / "results"
EXAMPLES = """examples:
  python -m benchmarks --quick
  python -m benchmarks --users 10000 --only limit,user_classifier --runs 3
  python -m benchmarks --scale-out
  python -m benchmarks
"""


def numbers(text: str) -> tuple[int, ...]:
    """Parse whole numbers with commas between them."""
    found = tuple(sorted({int(each) for each in text.split(",")}))
    if not found or found[0] < 10:
        raise argparse.ArgumentTypeError("needs at least 10 users each")
    return found


def whole_number(text: str) -> int:
    """Parse a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, got {text!r}")
    return int(text)


def names(text: str) -> frozenset[str]:
    """Parse names with commas between them; case and spaces do not matter."""
    known = {each.lower().replace(" ", ""): each for each in LINES + MEASURES}
    wanted = [each.strip().lower().replace(" ", "") for each in text.split(",")]
    for each in wanted:
        if each not in known:
            raise argparse.ArgumentTypeError(f"no {each!r}; there are {', '.join(LINES + MEASURES)}")
    return frozenset(known[each] for each in wanted)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the client beside Kafka's limit, other programs and the original, on a broker of its own.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--quick", action="store_true", help="small sizes, under 3 minutes; saved to .local/bench/results")
    add("--large", action="store_true", help="how far one process goes: 1 and 10 million users; long, and 16 GB")
    add("--users", type=numbers, metavar="N,...", help="numbers of users (default: 10,1000,10000,100000,1000000)")
    records = "least number of records of an input (default: 1000000 and 4000000)"
    add("--records", type=whole_number, metavar="N", help=records)
    add("--runs", type=whole_number, metavar="N", help="rounds of the comparison (default: 5)")
    add("--only", type=names, metavar="NAME,...", help=f"only some of: {', '.join(LINES + MEASURES)}")
    add(
        "--scale-out",
        action="store_true",
        help="instead of all else: labels by cells, and 1,000,000 users through Flink",
    )
    add("--output", type=Path, metavar="DIR", help="where results go (default: benchmarks/results for a whole run)")
    return made


def plan_from(arguments: argparse.Namespace) -> Plan:
    """Join the command line and the defaults."""
    plan = QUICK if arguments.quick else Plan()
    plan = replace(
        plan,
        records=arguments.records or plan.records,
        long_records=arguments.records or plan.long_records,
        runs=arguments.runs or plan.runs,
        only=arguments.only or plan.only,
    )
    return plan.with_users(arguments.users) if arguments.users else plan


def main(argv: Sequence[str] | None = None) -> int:
    """Run the plan; return 0 although targets may be missed: the table says so."""
    arguments = parser().parse_args(argv)
    if arguments.scale_out:
        from benchmarks.scale_out import measured

        n_users = arguments.users[-1] if arguments.users else None
        directory = arguments.output or (LOCAL if n_users else COMMITTED)
        print(measured.run(n_users, directory, Progress(minutes=60.0)))
        write_figures(directory)
        return 0
    plan = plan_from(arguments)
    whole = plan == Plan()
    directory = arguments.output or (COMMITTED if whole else LOCAL)
    # Later than the command line: it should be told at once what is wrong with it.
    if arguments.large:
        from benchmarks.large import SIZES, run_large

        directory = arguments.output or (LOCAL if arguments.users else COMMITTED)
        print(run_large(arguments.users or SIZES, directory, Progress(plan.minutes)))
        write_figures(directory)
        return 0
    from benchmarks.run import run

    print(run(plan, directory, Progress(plan.minutes)))
    write_figures(directory)
    return 0


def write_figures(directory: Path) -> None:
    """Write the figures into the pages if the results are those that the pages show."""
    if directory == COMMITTED:
        from benchmarks.pages import main as write_pages

        write_pages()


if __name__ == "__main__":
    sys.exit(main())
