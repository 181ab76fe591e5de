"""Draw the pictures anew: python -m img [architecture] [cdnow] [dashboard] [demo] [pipeline] [rooms]."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from img.architecture import draw_architecture
from img.cdnow import draw_cdnow
from img.clusters import draw_clusters
from img.dashboard import draw_dashboard
from img.demo import draw_demo
from img.one_room import draw_one_room
from img.pipeline import Pipeline
from img.rooms import draw_rooms
from img.tables import draw_tables
from img.terminal import TerminalError
from local.demo import FAILURES
from local.services.artifacts import ROOT

ERRORS = (RuntimeError, TerminalError, *FAILURES)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw what is named, or all."""
    parser = argparse.ArgumentParser(prog="python -m img", description="Draw the pictures of README.md and docs/ anew.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)}; default: all")
    names = parser.parse_args(argv).names or list(RUNS)
    if unknown := set(names) - set(RUNS):
        parser.error(f"argument NAME: {', '.join(sorted(unknown))}: not of {', '.join(RUNS)}")
    try:
        for name in names:
            for path in RUNS[name]():
                print(path.relative_to(ROOT), flush=True)
    except ERRORS as error:
        print(f"python -m img: {error}", file=sys.stderr)
        return 1
    return 0


def _pipeline() -> list[Path]:
    with Pipeline() as pipeline:
        return [*draw_tables(pipeline), draw_clusters(pipeline)]


RUNS: dict[str, Callable[[], list[Path]]] = {
    "architecture": draw_architecture,
    "cdnow": draw_cdnow,
    "dashboard": draw_dashboard,
    "demo": lambda: [draw_demo()],
    "pipeline": _pipeline,
    "rooms": lambda: [*draw_rooms(), *draw_one_room()],
}

if __name__ == "__main__":
    sys.exit(main())
