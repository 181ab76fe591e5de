"""What another account plants in a folder that everybody may write to, and a disk that takes no more."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534
OWN_UID = os.geteuid()


def shared_folder(path: Path, mode: int = 0o1777) -> Path:
    """A folder as /tmp: everybody may write to it, and delete their own files."""
    path.mkdir()
    path.chmod(mode)
    return path


def of_another_account(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a file or link to another account; only root can, so any other account becomes another one itself."""
    if OWN_UID == 0:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: OWN_UID + 1)


@contextmanager
def without_root() -> Iterator[None]:
    """As an account whose permissions are checked: root's are not."""
    uid = os.geteuid()
    if uid == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(uid)


@contextmanager
def files_of_at_most(n_bytes: int) -> Iterator[None]:
    """A real error of writing, in this process: "File too large"."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
