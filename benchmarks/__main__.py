"""Measure, print the results as a table, save them and draw them: python -m benchmarks [--quick]."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.plan import QUICK, Plan
from benchmarks.processes import ROOT
from benchmarks.progress import Progress

MEASURES = ("original", "changed_users", "segments", "features", "restart", "latency", "start_up")
PROGRAMS = ("limit", "user_classifier", "AvroDeserializer", "Quix Streams", "Bytewax")
COMMITTED = ROOT / "benchmarks" / "results"
LOCAL = ROOT / ".local" / "bench" / "results"
EXAMPLES = """examples:
  python -m benchmarks --quick
  python -m benchmarks --users 10000 --only limit,user_classifier --runs 3
  python -m benchmarks --scale-out
  python -m benchmarks
"""


def numbers(text: str) -> tuple[int, ...]:
    """Parse whole numbers separated by commas."""
    found = tuple(sorted({int(each) for each in text.split(",")}))
    if not found or found[0] < 10:
        raise argparse.ArgumentTypeError("each number of users must be >= 10")
    return found


def whole_number(text: str) -> int:
    """Parse a whole number >= 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, got {text!r}")
    return int(text)


def names(text: str) -> frozenset[str]:
    """Parse names separated by commas; case and spaces do not matter."""
    known = {each.lower().replace(" ", ""): each for each in PROGRAMS + MEASURES}
    wanted = [each.strip().lower().replace(" ", "") for each in text.split(",")]
    for each in wanted:
        if each not in known:
            raise argparse.ArgumentTypeError(f"unknown name {each!r}; choose from {', '.join(PROGRAMS + MEASURES)}")
    return frozenset(known[each] for each in wanted)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare the client with Kafka's limit, other programs and the original, on a broker of its own.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("--quick", action="store_true", help="small sizes, less than 3 minutes; results go to .local/bench/results")
    add(
        "--large",
        action="store_true",
        help="one process with 1 and 10 million users; long, needs 16 GB of memory",
    )
    add("--users", type=numbers, metavar="N,...", help="numbers of users (default: 10,1000,10000,100000,1000000)")
    records = "minimum number of records in an input (default: 1000000 and 4000000)"
    add("--records", type=whole_number, metavar="N", help=records)
    add("--runs", type=whole_number, metavar="N", help="rounds of the comparison (default: 5)")
    add("--only", type=names, metavar="NAME,...", help=f"measure only these: {', '.join(PROGRAMS + MEASURES)}")
    add(
        "--scale-out",
        action="store_true",
        help="measure only this: labels by cells, and 1,000,000 users through Flink",
    )
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="directory of the results (default: benchmarks/results for a full run)",
    )
    return result


def plan_from(arguments: argparse.Namespace) -> Plan:
    """Return the plan: the defaults with the changes of the command line."""
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
    """Run the benchmarks; return 0, also if targets are missed: the table shows them."""
    arguments = parser().parse_args(argv)
    if arguments.scale_out:
        from benchmarks.scale_out import measured

        n_users = arguments.users[-1] if arguments.users else None
        directory = arguments.output or (LOCAL if n_users else COMMITTED)
        print(measured.run(n_users, directory, Progress(minutes=60.0)))
        write_figures(directory)
        return 0
    plan = plan_from(arguments)
    # These imports take long: a mistake in the command line is reported before them.
    if arguments.large:
        from benchmarks.large import SIZES, run_large

        directory = arguments.output or (LOCAL if arguments.users else COMMITTED)
        print(run_large(arguments.users or SIZES, directory, Progress(plan.minutes)))
        write_figures(directory)
        return 0
    from benchmarks.run import run

    directory = arguments.output or (COMMITTED if plan == Plan() else LOCAL)
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
