"""The whole pipeline once, to look at: start it, run the SQL and the client, show the labels change, end it."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException

from local.dashboard import Dashboard
from local.live_table import LiveTable, Screen, follow
from local.services.artifacts import ROOT, STATE, ArtifactError, Echo
from local.services.process import POLL_SECONDS, Service, ServiceError
from local.sql.confluent_sql import StatementError
from local.sql.jobs import Jobs
from local.sql.sql_gateway import Result, SqlError
from local.sql.workspace import pipeline_files
from local.stack import Ports, Stack, StackError, client_configuration

DIRECTORY = STATE / "demo"
"""Fresh each time, so that the demo does not disturb the data of `make up`."""

ROWS_PER_SECOND = 20
N_USERS, LABELS = 10, {0, 1, 2}
LABELLED_SECONDS = 100.0
"""How long it may take until all users are labelled."""
SHOW_SECONDS = 20.0
"""How long the table is then watched."""
IN_A_BROWSER = "the same in a browser: make demo DASHBOARD=1, or make dashboard beside make up"

FAILURES = (ArtifactError, KafkaException, ServiceError, SqlError, StackError, StatementError, OSError)


class DemoError(Exception):
    """A step failed; the message names it and says why."""


class Client(Service):
    """``python user_classifier.py CONFIG_FILE`` in the background. What it does shows in the table."""

    name = "user_classifier"

    def __init__(self, directory: Path, configuration: Path, options: Sequence[str] = ()) -> None:
        super().__init__(directory)
        self._configuration, self._options = configuration, options

    def command(self) -> list[str]:
        """See Service."""
        return self.command_with(self._options)

    def command_with(self, options: Sequence[str]) -> list[str]:
        """The same program on the same configuration, asked for something else."""
        return [sys.executable, str(ROOT / "user_classifier.py"), str(self._configuration), *options]

    def __str__(self) -> str:
        """The command as its user types it."""
        path = self._configuration
        file = f"./{path.relative_to(ROOT)}" if path.is_relative_to(ROOT) else str(path)
        return shlex.join(["python", "user_classifier.py", file, *map(_short, self._options)])

    def is_ready(self) -> bool:
        """It has not ended."""
        return self.is_running


@dataclass
class Demo:
    """Services that are shown at work, step by step, and ended again."""

    stack: Stack
    client: Client
    echo: Echo
    started: float = field(default_factory=time.monotonic)
    dashboard: Dashboard | None = field(default=None, kw_only=True)

    def run(self) -> None:
        """Every step in order; nothing is left running, however it ends."""
        try:
            self.steps()
        finally:
            self.say("stopping everything")
            if self.dashboard is not None:
                self.dashboard.stop()
            self.client.stop()
            self.stack.stop()

    def steps(self) -> None:
        """What there is to see."""
        raise NotImplementedError

    def keep_open(self) -> None:
        """Show the labels in a browser until Ctrl-C, or say how to."""
        if self.dashboard is None:
            self.say(IN_A_BROWSER)
            return
        with self.step("starting the page"):
            self.dashboard.start()
        self.say(f"{self.dashboard.url} shows the labels; Ctrl-C ends everything")
        running = [service for service in [*self.stack.services, self.client, self.dashboard] if service.is_running]
        with self.step("showing the page"), suppress(KeyboardInterrupt):
            while True:
                for service in running:
                    if not service.is_running:
                        raise service.failure("ended by itself")
                time.sleep(POLL_SECONDS)

    def require_healthy(self) -> None:
        """ServiceError if a service or a job has ended by itself."""
        for service in [*self.stack.services, self.client]:
            if not service.is_running:
                raise service.failure("ended by itself")
        if self.stack.flink is not None:
            Jobs(self.stack.flink.urls.rest).require_healthy()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Say what is being done; DemoError if it fails."""
        self.say(what)
        try:
            yield
        except FAILURES as error:
            raise DemoError(f"failed while {what}: {error}") from error

    def say(self, text: str) -> None:
        """A line, with the time since the start."""
        self.echo(f"[{time.monotonic() - self.started:3.0f} s] {text}")


@dataclass
class DatagenDemo(Demo):
    """The whole pipeline on a stream of transactions."""

    show_seconds: float = SHOW_SECONDS

    def steps(self) -> None:
        """See Demo."""
        *statements, select = pipeline_files()
        with self.step("starting Kafka, Schema Registry and Flink"):
            self.stack.start()
        with self.step("starting the stream of transactions"):
            workspace = self.stack.workspace(self.say)
            workspace.start_datagen(ROWS_PER_SECOND)
        for path in statements:
            with self.step(f"running {path.relative_to(ROOT)}"):
                workspace.run_file(path)
        with self.step(f"running {self.client}"):
            self.client.start()
        with self.step(f"running {select.relative_to(ROOT)}"):
            self._watch(workspace.query_file(select))
        self.keep_open()

    def _watch(self, result: Result) -> None:
        table, screen, changes = LiveTable(result.columns), Screen(), result.changes()
        deadline = time.monotonic() + LABELLED_SECONDS

        def is_labelled() -> bool:
            self.require_healthy()
            if time.monotonic() > deadline:
                raise ServiceError(f"after {LABELLED_SECONDS:.0f} s there is only this:\n{table.render()}")
            return len(table.rows) == N_USERS and {row[-1] for row in table.rows} == LABELS

        follow(changes, table, screen, is_labelled)
        screen.draw(table.render(), keep=True)
        self.say(f"all {N_USERS} users are labelled, 0 spends least; the same table for {self.show_seconds:.0f} s more")
        screen, deadline = Screen(), time.monotonic() + self.show_seconds

        def is_watched() -> bool:
            self.require_healthy()
            return time.monotonic() > deadline

        follow(changes, table, screen, is_watched)
        screen.draw(table.render(), keep=True)


def fresh(directory: Path) -> None:
    """Empty a folder, so that the demo begins from nothing."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


def run(directory: Path, ports: Ports, show_seconds: float, page_port: int | None, echo: Echo) -> None:
    """Run the demo in a fresh ``directory``, with the page if it has a port; DemoError if a step fails."""
    fresh(directory)
    configuration = client_configuration(directory, ports)
    client = Client(directory / "user_classifier", configuration)
    page = page_of(directory, configuration, page_port)
    DatagenDemo(Stack(directory, ports), client, echo, show_seconds=show_seconds, dashboard=page).run()


def page_of(directory: Path, configuration: Path, port: int | None) -> Dashboard | None:
    """The page of a demo, if it has a port."""
    return None if port is None else Dashboard(directory / "dashboard", configuration, port)


def _short(option: str) -> str:
    """A path as it is seen from here."""
    path = Path(option)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else option
