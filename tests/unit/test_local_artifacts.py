"""The files of the services: lock, checksums, downloads."""

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


def test_the_lock_has_a_checksum_for_each_coordinate() -> None:
    wanted = tomllib.loads(artifacts.WANTED_FILE.read_text(encoding="utf-8"))
    locked = artifacts.locked()
    assert {service: set(entry["coordinates"]) for service, entry in wanted.items()} == {
        service: set(wanted[service]["coordinates"]) & {artifact.coordinate for artifact in files}
        for service, files in locked.items()
    }
    everything = [artifact for files in locked.values() for artifact in files]
    assert all(len(artifact.sha256) == 64 and artifact.size > 0 for artifact in everything)
