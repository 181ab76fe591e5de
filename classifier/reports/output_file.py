"""A file that the client writes for people: checks of its path before any work, and its replacement in one step.

Guarantee: a reader sees the old file or the new one, each complete. Another account that may write to the folder cannot
lead the client to another file: its links are not followed, as with fs.protected_symlinks of Linux, and the part that
becomes the file is created under a new name (O_EXCL). Whatever else has the name of the file is replaced unopened.
"""

import contextlib
import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
MAX_LINKS = 40  # on the way to a file, as in Linux
ROOT_UID = 0
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
# O_PATH needs no permission to read the folder, which creating a file does not need either. Linux only.
FOLDER_FLAGS = os.O_DIRECTORY | os.O_NOFOLLOW | getattr(os, "O_PATH", os.O_RDONLY)
PART_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class ForeignLink(PermissionError):
    """Raised for a link of another account, in a folder to which others may write."""

    def __init__(self, name: str, uid: int) -> None:
        super().__init__(
            errno.EACCES,
            f"'{name}' is a link of another account, uid {uid}, in a folder that others may write to;"
            " remove it, or give the path that it leads to",
        )


class Part(NamedTuple):
    """A new file in the folder of its target, under another name."""

    file: BinaryIO
    name: str
    folder: int  # descriptor
    target: str  # name

    def replace_target(self) -> None:
        """Give the file the name of its target."""
        self.file.flush()
        os.replace(self.name, self.target, src_dir_fd=self.folder, dst_dir_fd=self.folder)


def check_path(path: Path, suffixes: Sequence[str] = PICTURE_SUFFIXES, verb: str = "draw") -> None:
    """Raise ValueError, with a remedy, if a file of one of these suffixes cannot be written to `path`.

    `verb` is what the client would do with the file, for the message.
    """
    if not (path.suffix and path.name.lower().endswith(tuple(suffixes))):
        problem = f"cannot {verb} {path.suffix} files" if path.suffix else "the name has no suffix"
        raise ValueError(f"{path}: {problem}; end it in {', '.join(suffixes[:-1])} or {suffixes[-1]}")
    check_links(path)
    # Path.is_dir raises if the account may not read the folder; os.path.isdir returns False.
    if os.path.isdir(path):  # noqa: PTH112
        raise ValueError(f"{path}: is a folder; give the path of a file")
    if not os.path.isdir(path.parent):  # noqa: PTH112
        raise ValueError(f"{path}: there is no folder {path.parent}; to create it: mkdir -p {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{path}: no permission to write to the folder {path.parent}; choose another one")


def check_links(path: Path) -> None:
    """Raise ValueError if the path leads over a link that is not followed; any other problem is for the caller."""
    try:
        with folder_of(path):
            pass
    except ForeignLink as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except OSError:
        pass


@contextlib.contextmanager
def part_of(path: Path) -> Iterator[Part]:
    """Create an empty file in the folder of `path`; remove it at the end, unless it has replaced its target.

    Of two writers at the same time, each writes a complete file.
    """
    with folder_of(path) as (folder, target):
        name = f".part-{secrets.token_hex(8)}"
        descriptor = os.open(name, PART_FLAGS, 0o666, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                copy_permissions(folder, target, descriptor)
                yield Part(file, name, folder, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)


def copy_permissions(folder: int, target: str, descriptor: int) -> None:
    """Give a new file the permissions of the one that it is to replace, if there is one.

    From a file of another account it takes no permission that new files do not have.
    """
    try:
        before = os.stat(target, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISREG(before.st_mode):
        mode = before.st_mode & 0o777
        if before.st_uid != os.geteuid():
            mode &= os.fstat(descriptor).st_mode
        os.fchmod(descriptor, mode)


@contextlib.contextmanager
def folder_of(path: Path) -> Iterator[tuple[int, str]]:
    """Open the folder of the file that `path` leads to; yield its descriptor, and the name of the file in it.

    It follows the links of the path itself, so that none is exchanged between check and use. ForeignLink for one that
    it does not follow.
    """
    left = list(reversed(path.parts))
    n_links = 0
    folder = os.open("/" if path.is_absolute() else ".", FOLDER_FLAGS)
    try:
        while True:
            name = left.pop()
            link = followed(folder, name)
            if link is not None:
                n_links += 1
                if n_links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                left += reversed(Path(link).parts)
            elif left:
                inner = os.open(name, FOLDER_FLAGS, dir_fd=folder)
                os.close(folder)
                folder = inner
            else:
                break
        yield folder, name
    finally:
        os.close(folder)


def followed(folder: int, name: str) -> str | None:
    """Return where the link `name` in a folder leads; None if there is no such link."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(found.st_mode):
        return None
    others_may_write = os.fstat(folder).st_mode & WRITABLE_BY_OTHERS
    if others_may_write and found.st_uid not in (os.geteuid(), ROOT_UID):
        raise ForeignLink(name, found.st_uid)
    return os.readlink(name, dir_fd=folder)


def prepare_matplotlib(folder: Path) -> None:
    """Let matplotlib be imported in any environment; without a temporary folder it keeps its font cache in `folder`.

    matplotlib uses a temporary folder if it cannot write to the home folder, and without either it cannot be imported.
    """
    os.environ.pop("MPLBACKEND", None)  # no window is opened here, but an unknown backend would be refused
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        tempfile.tempdir = str(folder)
