"""A Flink session cluster: JobManager, TaskManager and SQL gateway, one process each."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import requests

from local.services import artifacts
from local.services.jvm import java_options
from local.services.process import LOOPBACK, Service, free_port

SQL_CLIENT = "org.apache.flink.table.client.SqlClient"
ANSWER_SECONDS = 2.0
TASK_SLOTS = 12
"""One for each running job, as all have parallelism 1: four inserts, the Datagen stream, a few queries."""

CHECKPOINTS = "checkpoints"

LARGE_STATE: dict[str, str | int] = {
    "state.backend.type": "rocksdb",
    "execution.checkpointing.incremental": "true",
    "taskmanager.memory.managed.size": "1 gb",
}
"""State in RocksDB, which may exceed memory; the default is the heap, which is faster while the state fits."""

ADD_OPENS = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in (
    "java.lang", "java.lang.reflect", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.text", "java.time",
    "java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks",
)]  # fmt: skip
"""The packages that Flink needs reflection for, as in the config.yaml of its distribution."""

LOGGING = """\
rootLogger.level = ${sys:log4j2.level:-INFO}
rootLogger.appenderRef.console.ref = console
appender.console.name = console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} - %m%n
# At INFO, each producer and consumer logs its hundred settings.
logger.kafka.name = org.apache.kafka
logger.kafka.level = WARN
logger.pekko.name = org.apache.pekko
logger.pekko.level = WARN
"""


class FlinkUrls(NamedTuple):
    """URLs of the SQL gateway, and of the JobManager's REST interface, which is also Flink's web page."""

    gateway: str
    rest: str


class FlinkProcess(Service):
    """A process of the cluster."""

    main_class: str
    heap: str

    def __init__(self, directory: Path, url: str, ends_with_parent: bool) -> None:
        super().__init__(directory, ends_with_parent)
        self.url = url

    def command(self) -> list[str]:
        """See Service."""
        return [*java_command(self.directory, f"-Xmx{self.heap}"), self.main_class, *self.arguments()]

    def environment(self) -> dict[str, str]:
        """Return the environment, with the folder of Flink's configuration."""
        return {**super().environment(), "FLINK_CONF_DIR": str(self.directory)}

    def arguments(self) -> list[str]:
        """Return the arguments of the main class."""
        return ["--configDir", str(self.directory)]

    def get(self, path: str) -> Mapping[str, object]:
        """Return a JSON response of the REST interface; empty if there is none."""
        try:
            answer = requests.get(f"{self.url}{path}", timeout=ANSWER_SECONDS)
            return answer.json() if answer.ok else {}
        except requests.RequestException:
            return {}


class JobManager(FlinkProcess):
    """Schedules the jobs."""

    name = "flink-jobmanager"
    main_class = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
    heap = "384m"

    def is_ready(self) -> bool:
        """Return whether the REST interface answers."""
        return bool(self.get("/overview"))


class TaskManager(FlinkProcess):
    """Runs the jobs' tasks."""

    name = "flink-taskmanager"
    main_class = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
    heap = "640m"

    def is_ready(self) -> bool:
        """Return whether the JobManager knows its slots."""
        return bool(self.get("/overview").get("slots-total"))


class SqlGateway(FlinkProcess):
    """Accepts SQL statements over HTTP."""

    name = "flink-sql-gateway"
    main_class = "org.apache.flink.table.gateway.SqlGateway"
    heap = "512m"

    def arguments(self) -> list[str]:
        """Return none: it finds its configuration by FLINK_CONF_DIR and has no option --configDir."""
        return []

    def is_ready(self) -> bool:
        """Return whether the REST interface answers."""
        return bool(self.get("/v3/info"))


class FlinkCluster:
    """JobManager, TaskManager and SQL gateway; jobs end with the cluster.

    Parameters
    ----------
    directory : for configuration, logs and temporary files.
    gateway_port : the port of the SQL gateway.
    checkpoint_seconds : the interval of checkpoints; read_committed readers see new rows after each.
    large_state : keep the state of jobs in RocksDB, for more than about 100,000 users.
    """

    def __init__(
        self,
        directory: Path,
        gateway_port: int,
        checkpoint_seconds: float = 5.0,
        ends_with_parent: bool = True,
        large_state: bool = False,
    ) -> None:
        self.directory = directory
        self.gateway_port = gateway_port
        self._checkpoint_ms = round(checkpoint_seconds * 1000)
        self._large_state = large_state
        self._rest_port = free_port()
        rest = f"http://{LOOPBACK}:{self._rest_port}"
        gateway = f"http://{LOOPBACK}:{gateway_port}"
        self.gateway = SqlGateway(directory, gateway, ends_with_parent)
        self.processes: list[FlinkProcess] = [
            JobManager(directory, rest, ends_with_parent),
            TaskManager(directory, rest, ends_with_parent),
            self.gateway,
        ]

    @property
    def urls(self) -> FlinkUrls:
        """The URLs of the cluster."""
        return FlinkUrls(self.gateway.url, self.processes[0].url)

    def start(self) -> None:
        """Start the cluster and wait until it accepts SQL."""
        self.launch()
        self.wait_ready()

    def configure(self) -> None:
        """Write the configuration of all three processes."""
        write_configuration(self.directory, self._configuration())

    def launch(self) -> None:
        """Write the configuration and start all processes without waiting."""
        self.configure()
        for process in self.processes:
            process.launch()

    def wait_ready(self) -> None:
        """Wait until SQL can be sent and run."""
        for process in self.processes:
            process.wait_ready()

    def terminate(self) -> None:
        """Send SIGTERM to the processes without waiting."""
        for process in self.processes:
            process.terminate()

    def stop(self) -> None:
        """Stop the processes, and with them the jobs."""
        self.terminate()
        for process in self.processes:
            process.stop()

    def kill(self) -> None:
        """Kill the processes (SIGKILL)."""
        for process in self.processes:
            process.kill()

    def _configuration(self) -> dict[str, str | int]:
        return {
            **_addresses(self._rest_port, self.gateway_port),
            **_memory(),
            **(LARGE_STATE if self._large_state else {}),
            **_web(self.urls),
            "taskmanager.numberOfTaskSlots": TASK_SLOTS,
            "parallelism.default": 1,
            "io.tmp.dirs": str(self.directory / "tmp"),
            "execution.checkpointing.interval": f"{self._checkpoint_ms} ms",
            # Jobs resume from their last checkpoint, or from a savepoint after a graceful stop.
            "execution.checkpointing.dir": (self.directory / CHECKPOINTS).as_uri(),
            "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
            "execution.state-recovery.claim-mode": "CLAIM",
            # As in Confluent Cloud; local.sql.column_types converts points in time with it.
            "table.local-time-zone": "UTC",
            # After three restarts a job stays FAILED, so that its error can be shown.
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": 3,
            "restart-strategy.fixed-delay.delay": "1 s",
            # Flink 2.3 rejects an INSERT whose query has another key than the table, unless it has ON CONFLICT, which
            # Confluent Cloud does not document (FLINK-38926, FLINK-41478).
            "table.exec.sink.require-on-conflict": "false",
        }


def java_command(directory: Path, *options: str) -> list[str]:
    """Return the Java command with Flink's class path and the logging configuration of ``directory``."""
    home = artifacts.flink_home()
    jars = [
        artifacts.flink_classes(),
        *sorted((home / "lib").glob("*.jar")),
        *sorted((home / "opt").glob("*.jar")),
        *artifacts.jars("flink"),
    ]
    logging = f"-Dlog4j.configurationFile={(directory / 'log4j.properties').as_uri()}"
    class_path = ":".join(str(jar) for jar in jars)
    return [str(artifacts.java()), *java_options(directory / "tmp"), *options, *ADD_OPENS, logging, "-cp", class_path]


def write_configuration(directory: Path, configuration: Mapping[str, str | int]) -> None:
    """Write config.yaml and log4j.properties."""
    shutil.rmtree(directory / "tmp", ignore_errors=True)  # left by a killed cluster
    directory.joinpath("tmp").mkdir(parents=True)
    lines = [f"{key}: {value}" for key, value in configuration.items()]
    (directory / "config.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (directory / "log4j.properties").write_text(LOGGING, encoding="utf-8")


def _addresses(rest_port: int, gateway_port: int) -> dict[str, str | int]:
    return {
        "jobmanager.rpc.address": LOOPBACK,
        "jobmanager.rpc.port": free_port(),
        "jobmanager.bind-host": LOOPBACK,
        "taskmanager.host": LOOPBACK,
        "taskmanager.bind-host": LOOPBACK,
        "rest.address": LOOPBACK,
        "rest.bind-address": LOOPBACK,
        "rest.port": rest_port,
        "rest.bind-port": rest_port,
        "sql-gateway.endpoint.rest.address": LOOPBACK,
        "sql-gateway.endpoint.rest.bind-address": LOOPBACK,
        "sql-gateway.endpoint.rest.port": gateway_port,
        "sql-gateway.endpoint.rest.bind-port": gateway_port,
    }


def _web(urls: FlinkUrls) -> dict[str, str | int]:
    """Return what the pages of other websites may do: nothing; the default of the header is * (see OwnRequestsOnly)."""
    return {
        "web.access-control-allow-origin": urls.rest,
        "web.submit.enable": "false",  # no upload of jars
    }


def _memory() -> dict[str, str | int]:
    """Return every part of the memory; Flink's own start scripts, not used here, would compute them."""
    return {
        "jobmanager.memory.process.size": "1 gb",
        "taskmanager.cpu.cores": 2,
        "taskmanager.memory.framework.heap.size": "128 mb",
        "taskmanager.memory.task.heap.size": "384 mb",
        "taskmanager.memory.managed.size": "64 mb",
        "taskmanager.memory.framework.off-heap.size": "64 mb",
        "taskmanager.memory.task.off-heap.size": "0 mb",
        "taskmanager.memory.network.min": "64 mb",
        "taskmanager.memory.network.max": "64 mb",
        "taskmanager.memory.jvm-metaspace.size": "256 mb",
        "taskmanager.memory.jvm-overhead.min": "128 mb",
        "taskmanager.memory.jvm-overhead.max": "128 mb",
    }
