"""The files of the services: lock, checksums, downloads."""

import hashlib
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
from jgo.maven import MavenContext

from local.services import artifacts
from local.services.artifacts import Artifact, ArtifactError

CONTENT = b"the jar"
COORDINATE = "org.example:thing:1.0"


@pytest.fixture
def jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    """A locked file; the Maven cache is empty."""
    monkeypatch.setenv("M2_REPO", str(tmp_path))
    return Artifact(COORDINATE, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


class Repository:
    """A fake Maven repository: counts downloads and writes the given content."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.downloads = 0

    def __call__(self, context: MavenContext, coordinate: str) -> Path:
        """Download a file."""
        self.downloads += 1
        path = Artifact(coordinate, "", 0).path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content)
        return path


def download(jar: Artifact, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Download a missing file as fetch does."""
    monkeypatch.setattr(artifacts, "_maven_download", repository)
    artifacts._download_all([jar], lambda _: None)


def test_paths_are_those_of_maven(jar: Artifact, tmp_path: Path) -> None:
    """With and without a classifier."""
    assert jar.path == tmp_path / "org" / "example" / "thing" / "1.0" / "thing-1.0.jar"
    assert Artifact("g:app:2:all:tar.gz", "", 0).path == tmp_path / "g" / "app" / "2" / "app-2-all.tar.gz"


def test_a_downloaded_file_is_verified(jar: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not artifacts._is_verified(jar)
    download(jar, Repository(), monkeypatch)
    assert artifacts._is_verified(jar)


def test_a_partial_file_is_downloaded_again(jar: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    jar.path.parent.mkdir(parents=True)
    jar.path.write_bytes(CONTENT[:3])
    assert not artifacts._is_verified(jar)
    download(jar, Repository(), monkeypatch)
    assert artifacts._is_verified(jar)


def test_a_wrong_checksum_is_rejected(jar: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArtifactError) as caught:
        download(jar, Repository(b"another"), monkeypatch)
    problem = "its SHA-256 is not the one in artifacts.lock.toml; delete it and run again"
    assert str(caught.value) == f"{jar.path}: {problem}"


def test_a_failed_download_leaves_no_partial_file(jar: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:

    def fail(context: MavenContext, coordinate: str) -> Path:
        jar.path.parent.mkdir(parents=True)
        jar.path.write_bytes(CONTENT[:3])
        raise RuntimeError("404")

    monkeypatch.setattr(artifacts, "_maven_download", fail)
    with pytest.raises(ArtifactError) as caught:
        artifacts._download_all([jar], lambda _: None)
    assert str(caught.value) == "thing-1.0.jar: download failed (RuntimeError); run the same command again"
    assert not jar.path.exists()


def test_files_that_are_not_verified_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the stamp file, and with the stamp of another lock."""
    monkeypatch.setattr(artifacts, "STATE", tmp_path)
    for _ in range(2):
        with pytest.raises(ArtifactError, match=r"^the files of the services are not downloaded yet; run: make setup$"):
            artifacts.jars("kafka")
        (tmp_path / "artifacts").mkdir(exist_ok=True)
        (tmp_path / "artifacts" / "verified").write_text("another lock", encoding="utf-8")


# Files that were lost or changed after the download


@pytest.fixture
def fetched(jar: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    """A verified jar of a service."""
    monkeypatch.setattr(artifacts, "STATE", tmp_path)
    monkeypatch.setattr(artifacts, "locked", lambda: {"kafka": [jar], "registry": [jar]})
    (tmp_path / "artifacts").mkdir()
    stamp().write_text(artifacts._lock_digest(), encoding="utf-8")
    jar.path.parent.mkdir(parents=True)
    jar.path.write_bytes(CONTENT)
    artifacts._check_jar.cache_clear()
    return jar


def stamp() -> Path:
    """The file that make compares with the lock; without it, `make setup` fetches again."""
    return artifacts.STATE / "artifacts" / "verified"


AGAIN = "; to fetch it again: make setup"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "is missing"),
        (b"", "is not the file of artifacts.lock.toml"),
        (b"the jax", "is not the file of artifacts.lock.toml"),
    ],
    ids=["missing", "empty", "changed, of the same size"],
)
def test_a_jar_that_is_not_as_it_was_is_not_started(content: bytes | None, problem: str, fetched: Artifact) -> None:
    if content is None:
        fetched.path.unlink()
    else:
        fetched.path.write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        artifacts.jars("kafka")
    assert str(caught.value) == f"{fetched.path} {problem}{AGAIN}"
    assert not stamp().exists(), "or make setup would do nothing"


def test_a_jar_that_is_as_it_was_is_read_once(fetched: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    assert artifacts.jars("kafka") == [fetched.path]
    monkeypatch.setattr(artifacts, "_sha256", lambda path: pytest.fail("read again") if path == fetched.path else "")
    monkeypatch.setattr(artifacts, "_require_fetched", lambda: None)
    assert artifacts.jars("kafka") == [fetched.path]


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry, unpacked by fetch from an archive of two files."""
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    (source := tmp_path / "source" / "lib").mkdir(parents=True)
    (source / "a.jar").write_bytes(b"aaaa")
    (source.parent / "run.jar").write_bytes(b"run")
    archive = Artifact("g:registry:1.2:all:tar.gz", "", 0)
    archive.path.parent.mkdir(parents=True)
    with tarfile.open(archive.path, "w:gz") as tar:
        tar.add(source.parent, "./")
    monkeypatch.setattr(artifacts, "STATE", tmp_path)
    monkeypatch.setattr(artifacts, "locked", lambda: {"registry": [archive]})
    monkeypatch.setattr(artifacts, "_is_verified", lambda _: True)
    monkeypatch.setattr(artifacts, "_compile", lambda: None)
    artifacts.fetch(lambda _: None)
    return tmp_path / "artifacts" / "registry-1.2-all"


def test_an_incomplete_registry_is_named_and_unpacked_again(unpacked: Path) -> None:
    assert artifacts.registry_home() == unpacked
    jar = unpacked / "lib" / "a.jar"
    jar.unlink()
    with pytest.raises(ArtifactError) as missing:
        artifacts.registry_home()
    assert str(missing.value) == f"{jar} is missing{AGAIN}"
    artifacts.fetch(lambda _: None)
    assert artifacts.registry_home() == unpacked
    jar.write_bytes(b"a")
    with pytest.raises(ArtifactError) as cut:
        artifacts.registry_home()
    assert str(cut.value) == f"{jar} has 1 bytes instead of 4{AGAIN}"
    artifacts.fetch(lambda _: None)
    assert jar.read_bytes() == b"aaaa"


def test_a_registry_unpacked_by_an_earlier_version_is_kept(unpacked: Path) -> None:
    (unpacked.parent / "registry-1.2-all.files.json").unlink()
    inode = unpacked.stat().st_ino
    artifacts.fetch(lambda _: None)
    assert artifacts.registry_home() == unpacked
    assert unpacked.stat().st_ino == inode


def test_a_missing_class_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "STATE", tmp_path)
    with pytest.raises(ArtifactError, match=rf"/META-INF/services/[\w.]+ is missing{AGAIN}$"):
        artifacts.flink_classes()


def test_a_package_that_is_not_as_pip_installed_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package itself says how long its files are."""
    (info := tmp_path / "thing-1.0.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (info / "RECORD").write_text("thing/lib.jar,,3\nthing/cache.pyc,,\n")
    (jar := tmp_path / "thing" / "lib.jar").parent.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    advice = f"to install the package again: {sys.executable} -m pip install --force-reinstall --no-deps thing==1.0"
    for content, problem in ((None, "is missing"), (b"four", "has 4 bytes instead of 3")):
        if content is not None:
            jar.write_bytes(content)
        with pytest.raises(ArtifactError) as caught:
            artifacts._check_package("thing")
        assert str(caught.value) == f"{jar} {problem}; {advice}"
    jar.write_bytes(b"jar")
    artifacts._check_package("thing")


def test_the_lock_has_a_checksum_for_each_coordinate() -> None:
    wanted = tomllib.loads(artifacts.WANTED_FILE.read_text(encoding="utf-8"))
    locked = artifacts.locked()
    assert {service: set(entry["coordinates"]) for service, entry in wanted.items()} == {
        service: set(wanted[service]["coordinates"]) & {artifact.coordinate for artifact in files}
        for service, files in locked.items()
    }
    everything = [artifact for files in locked.values() for artifact in files]
    assert all(len(artifact.sha256) == 64 and artifact.size > 0 for artifact in everything)
