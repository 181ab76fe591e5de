"""Checks of the path of a file before any work: of a picture, before matplotlib is imported."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")


def check_path(path: Path, suffixes: Sequence[str] = PICTURE_SUFFIXES, verb: str = "draw") -> None:
    """Raise ValueError, with a remedy, if a file of one of these suffixes cannot be written to `path`.

    `verb` is what the client would do with the file, for the message.
    """
    if not (path.suffix and path.name.lower().endswith(tuple(suffixes))):
        problem = f"cannot {verb} {path.suffix} files" if path.suffix else "the name has no suffix"
        raise ValueError(f"{path}: {problem}; end it in {', '.join(suffixes[:-1])} or {suffixes[-1]}")
    # Path.is_dir raises if the account may not read the folder; os.path.isdir returns False.
    if os.path.isdir(path):  # noqa: PTH112
        raise ValueError(f"{path}: is a folder; give the path of a file")
    if not os.path.isdir(path.parent):  # noqa: PTH112
        raise ValueError(f"{path}: there is no folder {path.parent}; to create it: mkdir -p {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{path}: no permission to write to the folder {path.parent}; choose another one")


def prepare_matplotlib(folder: Path) -> None:
    """Let matplotlib be imported in any environment; without a temporary folder it keeps its font cache in `folder`.

    matplotlib uses a temporary folder if it cannot write to the home folder, and without either it cannot be imported.
    """
    os.environ.pop("MPLBACKEND", None)  # no window is opened here, but an unknown backend would be refused
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        tempfile.tempdir = str(folder)
