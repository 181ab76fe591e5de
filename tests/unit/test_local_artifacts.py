"""Which files are used: the lock, the checksum, what is fetched again."""

import hashlib
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
    """A locked file in a Maven cache that is empty so far."""
    monkeypatch.setenv("M2_REPO", str(tmp_path))
    return Artifact(COORDINATE, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


class Repository:
    """Stands in for Maven: counts the downloads and writes what it is told to."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content, self.downloads = content, 0

    def __call__(self, context: MavenContext, coordinate: str) -> Path:
        """Download a file."""
        self.downloads += 1
        path = Artifact(coordinate, "", 0).path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content)
        return path


def download(jar: Artifact, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fetch does for a missing file."""
    monkeypatch.setattr(artifacts, "_maven_download", repository)
    artifacts._download_all([jar], lambda _: None)


def test_names_and_places(jar: Artifact, tmp_path: Path) -> None:
    """As Maven has them, with and without classifier."""
    assert jar.path == tmp_path / "org" / "example" / "thing" / "1.0" / "thing-1.0.jar"
    assert Artifact("g:app:2:all:tar.gz", "", 0).path == tmp_path / "g" / "app" / "2" / "app-2-all.tar.gz"


def test_download(jar: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once; then it is the right one."""
    assert not artifacts._is_right(jar)
    download(jar, Repository(), monkeypatch)
    assert artifacts._is_right(jar)


def test_file_that_an_interruption_cut_off(jar: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there, but not right: fetched again."""
    jar.path.parent.mkdir(parents=True)
    jar.path.write_bytes(CONTENT[:3])
    assert not artifacts._is_right(jar)
    download(jar, Repository(), monkeypatch)
    assert artifacts._is_right(jar)


def test_wrong_checksum(jar: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, and the message says where it lies."""
    with pytest.raises(ArtifactError) as caught:
        download(jar, Repository(b"another"), monkeypatch)
    assert str(caught.value) == f"{jar.path}: not the SHA-256 of artifacts.lock.toml; delete it and run again"


def test_failed_download(jar: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says what to do, and no half a file."""

    def fail(context: MavenContext, coordinate: str) -> Path:
        jar.path.parent.mkdir(parents=True)
        jar.path.write_bytes(CONTENT[:3])
        raise RuntimeError("404")

    monkeypatch.setattr(artifacts, "_maven_download", fail)
    with pytest.raises(ArtifactError) as caught:
        artifacts._download_all([jar], lambda _: None)
    assert str(caught.value) == "thing-1.0.jar: download failed (RuntimeError); run the same command again"
    assert not jar.path.exists()


def test_nothing_is_started_from_files_that_were_not_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stamp, or the stamp of another lock."""
    monkeypatch.setattr(artifacts, "STATE", tmp_path)
    for _ in range(2):
        with pytest.raises(ArtifactError, match=r"^the services' files are not here yet; run: make setup$"):
            artifacts.jars("kafka")
        (tmp_path / "artifacts").mkdir(exist_ok=True)
        (tmp_path / "artifacts" / "verified").write_text("another lock", encoding="utf-8")


def test_lock_has_a_checksum_for_everything_wanted() -> None:
    """Each coordinate of artifacts.toml, 64 hexadecimal digits each."""
    wanted = tomllib.loads(artifacts.WANTED_FILE.read_text(encoding="utf-8"))
    locked = artifacts.locked()
    assert {service: set(entry["coordinates"]) for service, entry in wanted.items()} == {
        service: set(wanted[service]["coordinates"]) & {artifact.coordinate for artifact in files}
        for service, files in locked.items()
    }
    everything = [artifact for files in locked.values() for artifact in files]
    assert all(len(artifact.sha256) == 64 and artifact.size > 0 for artifact in everything)
