"""Draw the pictures of the pages: python -m img [NAME ...]; without a name, all."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from img.architecture import draw_architecture
from img.cdnow import draw_cdnow
from img.clusters import draw_accounts, draw_clusters
from img.dashboard import draw_dashboard
from img.demo import draw_demo
from img.packages import draw_packages
from img.pipeline import Pipeline
from img.tables import draw_tables
from img.terminal import TerminalError
from local.demo import FAILURES
from local.services.artifacts import ROOT

ERRORS = (RuntimeError, TerminalError, *FAILURES)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the named pictures, or all; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m img", description="Draw the pictures of README.md and docs/.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(RUNS)} (default: all)")
    names = parser.parse_args(argv).names or list(RUNS)
    for name in names:
        if name not in RUNS:
            parser.error(f"argument NAME: no picture {name!r}; choose from {', '.join(RUNS)}")
    try:
        for name in names:
            for path in RUNS[name]():
                print(path.relative_to(ROOT), flush=True)
    except ERRORS as error:
        print(f"python -m img: {error}", file=sys.stderr)
        return 1
    return 0


def _accounts() -> list[Path]:
    with Pipeline() as pipeline:
        return [draw_accounts(pipeline)]


def _pipeline() -> list[Path]:
    with Pipeline() as pipeline:
        return [*draw_tables(pipeline), draw_clusters(pipeline)]


RUNS: dict[str, Callable[[], list[Path]]] = {
    "accounts": _accounts,
    "architecture": draw_architecture,
    "cdnow": draw_cdnow,
    "dashboard": draw_dashboard,
    "demo": lambda: [draw_demo()],
    "packages": draw_packages,
    "pipeline": _pipeline,
}

if __name__ == "__main__":
    sys.exit(main())
