"""A file in a folder that others may write to: what they plant there leads to no other file."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from classifier.reports.output_file import ForeignLink, check_path, part_of
from tests.support.planted import of_another_account, shared_folder, without_root

OLD = b"old"
NEW = b"new"
Make = Callable[[Path], object]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A file that nothing may change."""
    path = tmp_path / "kept.csv"
    path.write_bytes(OLD)
    return path


def write(path: Path) -> None:
    """Replace the file."""
    with part_of(path) as part:
        part.file.write(NEW)
        part.replace_target()


# Links


@pytest.mark.parametrize("mode", [0o1777, 0o777, 0o1775, 0o775], ids=oct)
def test_a_link_of_another_account(mode: int, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = shared_folder(tmp_path / "shared", mode) / "labels.csv"
    link.symlink_to(kept)
    of_another_account(link, monkeypatch)
    uid = os.lstat(link).st_uid
    problem = (
        f"'labels.csv' is a link of another account, uid {uid}, in a folder that others may write to; remove it, or"
        " give the path that it leads to"
    )
    with pytest.raises(ValueError, match=r".") as raised:
        check_path(link, [".csv", ".gz"])
    assert str(raised.value) == f"{link}: {problem}"
    with pytest.raises(ForeignLink) as refused:
        write(link)
    assert refused.value.strerror == problem
    assert kept.read_bytes() == OLD
    assert list(link.parent.iterdir()) == [link]


def a_folder(link: Path) -> Path:
    """A link on the way to the file; `kept` is in the folder it leads to."""
    link.symlink_to(link.parents[1])
    return link / "kept.csv"


def a_chain(link: Path) -> Path:
    """A link of this account, outside, that leads to the other's."""
    link.symlink_to(link.parents[1] / "kept.csv")
    own = link.parents[1] / "own.csv"
    own.symlink_to(Path("shared") / link.name)
    return own


def a_dangling_one(link: Path) -> Path:
    """A link to a file that does not exist yet."""
    link.symlink_to(link.parents[1] / "new.csv")
    return link


def a_way_back(link: Path) -> Path:
    """A link on a way that goes back."""
    link.symlink_to(link.parents[1])
    return link.parent / "inner" / ".." / link.name / "kept.csv"


@pytest.mark.parametrize("plant", [a_folder, a_chain, a_dangling_one, a_way_back])
def test_other_links_of_another_account(
    plant: Callable[[Path], Path], kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = shared_folder(tmp_path / "shared")
    (shared / "inner").mkdir()
    path = plant(shared / "link.csv")
    of_another_account(shared / "link.csv", monkeypatch)
    monkeypatch.chdir(shared)
    for each in (path, Path(os.path.relpath(path.parent)) / path.name):
        with pytest.raises(ValueError, match=r": 'link\.csv' is a link of another account, uid \d+, in a folder"):
            check_path(each, [".csv", ".gz"])
        with pytest.raises(ForeignLink):
            write(each)
    assert kept.read_bytes() == OLD
    assert not (tmp_path / "new.csv").exists()


def test_ones_own_link_is_followed(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = shared_folder(tmp_path / "shared")
    (shared / "link.csv").symlink_to(Path("..") / kept.name)
    (shared / "way").symlink_to(tmp_path)
    monkeypatch.chdir(shared)
    for path in (shared / "link.csv", shared / "way" / kept.name, Path("link.csv"), Path("way") / kept.name):
        kept.write_bytes(OLD)
        check_path(path, [".csv", ".gz"])
        write(path)
        assert kept.read_bytes() == NEW
        assert (shared / "link.csv").is_symlink()


def test_a_link_in_a_folder_that_others_cannot_write_to(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder := tmp_path / "folder").mkdir(mode=0o755)
    (folder / "link.csv").symlink_to(kept)
    of_another_account(folder / "link.csv", monkeypatch)
    write(folder / "link.csv")
    assert kept.read_bytes() == NEW


def test_a_link_made_between_the_check_and_the_end(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is replaced as it is at the end; what a link leads to is never opened."""
    path = shared_folder(tmp_path / "shared") / "labels.csv"
    with part_of(path) as part:
        part.file.write(NEW)
        path.symlink_to(kept)
        of_another_account(path, monkeypatch)
        part.replace_target()
    assert (path.read_bytes(), path.is_symlink()) == (NEW, False)
    assert kept.read_bytes() == OLD


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to("b.csv")
    (tmp_path / "b.csv").symlink_to("a.csv")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        write(tmp_path / "a.csv")


# Everything else under the name of the file


def hard_link(path: Path) -> None:
    """Another name of a file outside."""
    path.hardlink_to(path.parents[1] / "kept.csv")


PLANTED: dict[str, Make] = {
    "hard link": hard_link,
    "FIFO": os.mkfifo,
    "file that everybody may write": lambda path: path.touch(0o666),
    "file that nobody may read": lambda path: path.touch(0),
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_what_has_the_name_is_replaced_unopened(plant: Make, kept: Path, tmp_path: Path) -> None:
    path = shared_folder(tmp_path / "shared") / "labels.csv"
    plant(path)
    write(path)
    assert stat.S_ISREG(path.lstat().st_mode)
    path.chmod(0o600)
    assert path.read_bytes() == NEW
    assert kept.read_bytes() == OLD


@pytest.mark.parametrize("name", [".part-labels.csv", ".part-00", ".export-00"])
def test_a_name_planted_for_the_part_is_not_used(
    name: str, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = shared_folder(tmp_path / "shared")
    (shared / name).symlink_to(kept)
    monkeypatch.setattr("secrets.token_hex", lambda _: "11")
    write(shared / "labels.csv")
    assert (shared / "labels.csv").read_bytes() == NEW
    monkeypatch.setattr("secrets.token_hex", lambda _: "00")  # a guess that hits
    if name == ".part-00":
        with pytest.raises(FileExistsError):
            write(shared / "labels.csv")
    assert kept.read_bytes() == OLD
    assert (shared / name).is_symlink(), "what another account made is not removed"


def test_every_part_has_another_name(tmp_path: Path) -> None:
    with part_of(tmp_path / "a.csv") as first, part_of(tmp_path / "a.csv") as second:
        assert first.name != second.name
        assert len(first.name) >= len(".part-") + 16
    assert list(tmp_path.iterdir()) == []


# Permissions


def test_permissions_are_kept(kept: Path) -> None:
    for mode in (0o600, 0o640, 0o666, 0o444):
        kept.chmod(mode)
        write(kept)
        assert stat.S_IMODE(kept.stat().st_mode) == mode


@pytest.mark.parametrize(("planted", "expected"), [(0o666, 0o644), (0o777, 0o644), (0o600, 0o600), (0o4755, 0o644)])
def test_permissions_of_a_file_of_another_account(
    planted: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written there is no less private than in a new file, and no less than in the one that it replaces."""
    path = shared_folder(tmp_path / "shared") / "labels.csv"
    path.touch()
    path.chmod(planted)
    of_another_account(path, monkeypatch)
    path.chmod(planted)
    umask = os.umask(0o022)
    try:
        write(path)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == expected


def test_a_folder_that_may_be_written_to_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating a file needs no permission to list the folder."""
    folder = shared_folder(tmp_path / "shared", 0o333)
    monkeypatch.chdir(folder)  # other accounts cannot name the folders of a test of root
    with without_root():
        write(Path("labels.csv"))
    folder.chmod(0o700)
    assert (folder / "labels.csv").read_bytes() == NEW
