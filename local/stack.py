"""The stack in one directory: its services, their ports and their processes."""

from __future__ import annotations

import configparser
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from classifier.reports.output_file import ROOT_UID, WRITABLE_BY_OTHERS, check_links
from local.services.artifacts import ROOT, STATE, Echo
from local.services.flink import SQL_CLIENT, FlinkCluster, FlinkUrls, JobManager, SqlGateway, java_command
from local.services.kafka import KafkaBroker
from local.services.process import LOOPBACK, Service, is_alive, is_listening, stop_all, stop_processes
from local.services.registry import SchemaRegistry
from local.sql.catalog import Catalog
from local.sql.flink_tables import Endpoints
from local.sql.jobs import Jobs
from local.sql.recovery import resume_jobs, save_jobs
from local.sql.workspace import Workspace

UP_DIRECTORY = STATE / "up"
"""Data, logs and process ids of the background stack."""

LOCAL_CONFIGURATION = ROOT / "configurations" / "local.ini"


class StackError(Exception):
    """Raised when the stack cannot do what was requested; the message names the next command."""


def check_own_folder(path: Path) -> None:
    """Raise ValueError if another account has planted the folder, or one above it, where others may write."""
    check_links(path / "any")
    for folder in (path.resolve(), *path.resolve().parents):
        foreign = folder.exists() and folder.stat().st_uid not in (os.geteuid(), ROOT_UID)
        if foreign and folder.parent.stat().st_mode & WRITABLE_BY_OTHERS:
            owner = f"{folder} is a folder of another account, uid {folder.stat().st_uid}"
            raise ValueError(f"{path}: {owner}, in one that others may write to; choose another one")


@dataclass(frozen=True)
class Ports:
    """The ports of the stack on 127.0.0.1; each has an option and an environment variable."""

    kafka: int = 9092
    registry: int = 8081
    sql: int = 8083

    @property
    def endpoints(self) -> Endpoints:
        """The broker's address and the registry's URL."""
        return Endpoints(f"{LOOPBACK}:{self.kafka}", f"http://{LOOPBACK}:{self.registry}/apis/ccompat/v7")

    @property
    def sql_url(self) -> str:
        """The SQL gateway's URL."""
        return f"http://{LOOPBACK}:{self.sql}"


class Stack:
    """Broker, registry and, by default, Flink; its data stay in ``directory`` when it is stopped."""

    def __init__(
        self,
        directory: Path,
        ports: Ports,
        with_flink: bool = True,
        ends_with_parent: bool = True,
        large_state: bool = False,
    ) -> None:
        self.directory = directory
        self.ports = ports
        kafka = KafkaBroker(directory / "kafka", ports.kafka, ends_with_parent=ends_with_parent)
        registry = SchemaRegistry(directory / "registry", ports.registry, ends_with_parent=ends_with_parent)
        self.groups: dict[str, list[Service]] = {"kafka": [kafka], "registry": [registry]}
        self.flink: FlinkCluster | None = None
        if with_flink:
            self.flink = FlinkCluster(
                directory / "flink", ports.sql, ends_with_parent=ends_with_parent, large_state=large_state
            )
            self.groups["sql"] = list(self.flink.processes)

    @property
    def services(self) -> list[Service]:
        """All services in the order of their start."""
        return [service for group in self.groups.values() for service in group]

    def start(self, groups: list[str] | None = None) -> None:
        """Start the named groups, by default all, in parallel; after a failure or an interruption none of them runs."""
        wanted = list(self.groups) if groups is None else groups
        for name in wanted:
            require_free(name, getattr(self.ports, name))
        services = [service for name in wanted for service in self.groups[name]]
        try:
            if self.flink is not None and "sql" in wanted:
                self.flink.configure()
            for service in services:
                service.launch()
            for service in services:
                service.wait_ready()
        except BaseException:
            stop_all(services)
            raise

    def workspace(self, echo: Echo) -> Workspace:
        """Return a SQL workspace; StackError if Flink does not run."""
        if self.flink is None:
            raise StackError("Flink is not running; to start it: make up")
        return Workspace(self.flink.urls, self.ports.endpoints, Catalog(self.directory), echo)

    def stop(self) -> None:
        """Stop all services."""
        stop_all(self.services)


@dataclass(frozen=True)
class RecordedProcess:
    """A background process in the state file; the creation time tells it from a later process with the same pid."""

    name: str
    pid: int
    created: float

    @property
    def process(self) -> psutil.Process | None:
        """The process; None if it has exited."""
        try:
            process = psutil.Process(self.pid)
        except psutil.NoSuchProcess:
            return None
        return process if process.create_time() == self.created and is_alive(process) else None


@dataclass(frozen=True)
class StackState:
    """The state file of a background stack."""

    ports: Ports
    flink_url: str
    """Flink's web page and REST interface, on a port that was free at the start."""
    processes: list[RecordedProcess]

    def workspace(self, directory: Path, echo: Echo) -> Workspace:
        """Return a SQL workspace; StackError if Flink does not run."""
        if all(process.name != SqlGateway.name for process in self.alive()):
            raise StackError("Flink is not running; to start it: make up")
        return Workspace(FlinkUrls(self.ports.sql_url, self.flink_url), self.ports.endpoints, Catalog(directory), echo)

    def alive(self) -> list[RecordedProcess]:
        """Return the processes that still run."""
        return [recorded for recorded in self.processes if recorded.process]


def read_state(directory: Path) -> StackState | None:
    """Return the state that :func:`up` wrote; None if no process of the stack runs."""
    path = directory / "processes.json"
    if not path.is_file():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    state = StackState(
        Ports(**document["ports"]), document["flink_url"], [RecordedProcess(**entry) for entry in document["processes"]]
    )
    return state if state.alive() else None


def up(directory: Path, ports: Ports, with_flink: bool, echo: Echo, large_state: bool = False) -> None:
    """Start the services that do not run yet in the background; Flink with state on disk if ``large_state``."""
    state = read_state(directory)
    if state is not None and state.ports != ports:
        raise StackError(f"the stack is already running on the ports {_listed(state.ports)}; to change them: make down")
    stack = Stack(directory, ports, with_flink, ends_with_parent=False, large_state=large_state)
    alive = {process.name: process for process in state.alive()} if state else {}
    missing = [name for name, group in stack.groups.items() if not all(service.name in alive for service in group)]
    if not missing:
        echo("the stack is already running")
        return
    # If one of Flink's processes has exited, stop the others: the three start together.
    incomplete = [
        alive.pop(service.name) for name in missing for service in stack.groups[name] if service.name in alive
    ]
    _stop(incomplete)
    stack.start(missing)
    started = [_record_process(service) for name in missing for service in stack.groups[name]]
    flink_url = state.flink_url if state else ""
    if stack.flink and "sql" in missing:
        flink_url = stack.flink.urls.rest
    _write_state(directory, StackState(ports, flink_url, [*alive.values(), *started]))
    if "sql" in missing:
        resume_jobs(directory, stack.workspace(echo), echo)


def down(directory: Path, echo: Echo, delete_data: bool = False) -> None:
    """Stop the background stack; keep its data unless ``delete_data``."""
    state = read_state(directory)
    if state is None:
        echo("nothing is running")
    else:
        if any(process.name == JobManager.name for process in state.alive()):
            for name in save_jobs(directory, Jobs(state.flink_url)):
                echo(f"{name} stopped; it resumes at the next make up")
        _stop(state.alive())
        echo("stopped: " + ", ".join(process.name for process in state.processes))
    (directory / "processes.json").unlink(missing_ok=True)
    if delete_data and directory.exists():
        shutil.rmtree(directory)
        echo(f"{directory} deleted")


def _stop(recorded: list[RecordedProcess]) -> None:
    stop_processes([entry.process for entry in recorded if entry.process])


def require_free(name: str, port: int) -> None:
    """Raise StackError if the port is in use; the message names the option that changes it."""
    if is_listening(port):
        raise StackError(
            f"port {port} is in use by {_listener(port)}; stop it (if it is your own stack: make down), "
            f"or choose another port: --{name}-port N, or make ... {name.upper()}_PORT=N"
        )


def sql_client(directory: Path, ports: Ports, script: Path) -> list[str]:
    """Return the command of Flink's SQL client; it runs ``script`` before its prompt."""
    arguments = ["gateway", "--endpoint", ports.sql_url, "--init", str(script)]
    # By default the history of statements is in the home directory.
    arguments += ["--history", str(directory / "history")]
    return [*java_command(directory, "-Xmx256m", "-Dlog4j2.level=ERROR"), SQL_CLIENT, *arguments]


def client_configuration(directory: Path, ports: Ports) -> Path:
    """Return the configuration file for user_classifier.py: local.ini, or a copy of it with these ports."""
    if ports == Ports():
        return LOCAL_CONFIGURATION
    configuration = configparser.ConfigParser(interpolation=None)
    configuration.read(LOCAL_CONFIGURATION, encoding="utf-8")
    configuration["schema_registry"]["url"] = ports.endpoints.registry_url
    for section in ("consumer", "producer"):
        configuration[section]["bootstrap.servers"] = ports.endpoints.bootstrap_servers
    path = directory / "local.ini"
    with path.open("w", encoding="utf-8") as file:
        configuration.write(file)
    return path


def _record_process(service: Service) -> RecordedProcess:
    return RecordedProcess(service.name, service.pid, psutil.Process(service.pid).create_time())


def _write_state(directory: Path, state: StackState) -> None:
    document = json.dumps(asdict(state), indent=2)
    (directory / "processes.json").write_text(document + "\n", encoding="utf-8")


def _listed(ports: Ports) -> str:
    return ", ".join(str(port) for port in asdict(ports).values())


def _listener(port: int) -> str:
    for name, pid in _listeners(port):
        return f"{name} (pid {pid})"
    return "another program"


def _listeners(port: int) -> Iterator[tuple[str, int]]:
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # macOS shows the connections of other users to root only
        return
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            yield psutil.Process(connection.pid).name(), connection.pid
