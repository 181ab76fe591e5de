"""Where a file is written, looked at before it is made: a picture before matplotlib is imported."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

ENDINGS = (".png", ".svg", ".pdf")


def check_target(path: Path, endings: Sequence[str] = ENDINGS, verb: str = "draw") -> None:
    """Raise ValueError if no picture, or another file that `verb` makes, can be written to `path`, with what to do."""
    if not (path.suffix and path.name.lower().endswith(tuple(endings))):
        found = f"cannot {verb} {path.suffix} files" if path.suffix else "the name has no ending"
        raise ValueError(f"{path}: {found}; end it in {', '.join(endings[:-1])} or {endings[-1]}")
    # Path.is_dir raises where the account may not look; os.path says no.
    if os.path.isdir(path):  # noqa: PTH112
        raise ValueError(f"{path}: is a folder; name a file")
    if not os.path.isdir(path.parent):  # noqa: PTH112
        raise ValueError(f"{path}: there is no folder {path.parent}; to make it: mkdir -p {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{path}: no right to write in the folder {path.parent}; choose another one")


def make_fit_for_matplotlib(folder: Path) -> None:
    """Let matplotlib start in any environment, and keep its list of fonts in `folder` where nothing else is writable.

    Without a home of its own it takes a temporary folder, and without that it does not even start.
    """
    os.environ.pop("MPLBACKEND", None)  # it opens no window here, but refuses one that it does not know
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        tempfile.tempdir = str(folder)
