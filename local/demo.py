"""The demo: start the whole pipeline, run the SQL and the client, show how the labels change, stop everything."""

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
"""Emptied at each start, and separate from the data of `make up`."""

ROWS_PER_SECOND = 20
N_USERS = 10
LABELS = {0, 1, 2}
LABELLED_SECONDS = 100.0
"""The longest time until all users are labelled; then the demo fails."""
SHOW_SECONDS = 20.0
"""How long the table is then shown."""
IN_A_BROWSER = "the same in a browser: make demo DASHBOARD=1, or make up and then make dashboard"

FAILURES = (ArtifactError, KafkaException, ServiceError, SqlError, StackError, StatementError, OSError)


class DemoError(Exception):
    """Raised when a step of the demo fails; the message names the step and the cause."""


class Client(Service):
    """``python user_classifier.py CONFIG_FILE`` as a background process."""

    name = "user_classifier"

    def __init__(self, directory: Path, configuration: Path, options: Sequence[str] = ()) -> None:
        super().__init__(directory)
        self._configuration = configuration
        self._options = options

    def command(self) -> list[str]:
        """See Service."""
        return self.command_with(self._options)

    def command_with(self, options: Sequence[str]) -> list[str]:
        """Return the command with other options but the same configuration file."""
        return [sys.executable, str(ROOT / "user_classifier.py"), str(self._configuration), *options]

    def __str__(self) -> str:
        """Return the command as a user types it."""
        path = self._configuration
        file = f"./{path.relative_to(ROOT)}" if path.is_relative_to(ROOT) else str(path)
        return shlex.join(["python", "user_classifier.py", file, *map(_relative, self._options)])

    def is_ready(self) -> bool:
        """Return whether it runs; the table shows what it does."""
        return self.is_running


@dataclass
class Demo:
    """Runs the stack and the client step by step, and stops both in the end."""

    stack: Stack
    client: Client
    echo: Echo
    started: float = field(default_factory=time.monotonic)
    dashboard: Dashboard | None = field(default=None, kw_only=True)

    def run(self) -> None:
        """Run all steps; stop every service afterwards, also after a failure or an interruption."""
        try:
            self.steps()
        finally:
            self.log("stopping everything")
            if self.dashboard is not None:
                self.dashboard.stop()
            self.client.stop()
            self.stack.stop()

    def steps(self) -> None:
        """Run the steps of this demo."""
        raise NotImplementedError

    def show_page(self) -> None:
        """Serve the page until Ctrl-C; without one, print the command for it."""
        if self.dashboard is None:
            self.log(IN_A_BROWSER)
            return
        with self.step("starting the page"):
            self.dashboard.start()
        self.log(f"{self.dashboard.url} shows the labels; Ctrl-C ends everything")
        running = [service for service in [*self.stack.services, self.client, self.dashboard] if service.is_running]
        with self.step("showing the page"), suppress(KeyboardInterrupt):
            while True:
                for service in running:
                    if not service.is_running:
                        raise service.failure("exited")
                time.sleep(POLL_SECONDS)

    def require_healthy(self) -> None:
        """Raise ServiceError if a service has exited or a job has failed."""
        for service in [*self.stack.services, self.client]:
            if not service.is_running:
                raise service.failure("exited")
        if self.stack.flink is not None:
            Jobs(self.stack.flink.urls.rest).require_healthy()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Log a step and run it; DemoError if it fails."""
        self.log(what)
        try:
            yield
        except FAILURES as error:
            raise DemoError(f"failed while {what}: {error}") from error

    def log(self, text: str) -> None:
        """Print a line with the time since the start."""
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
            workspace = self.stack.workspace(self.log)
            workspace.start_datagen(ROWS_PER_SECOND)
        for path in statements:
            with self.step(f"running {path.relative_to(ROOT)}"):
                workspace.run_file(path)
        with self.step(f"running {self.client}"):
            self.client.start()
        with self.step(f"running {select.relative_to(ROOT)}"):
            self._show(workspace.query_file(select))
        self.show_page()

    def _show(self, result: Result) -> None:
        table = LiveTable(result.columns)
        changes = result.changes()
        screen = Screen()
        deadline = time.monotonic() + LABELLED_SECONDS

        def is_labelled() -> bool:
            self.require_healthy()
            if time.monotonic() > deadline:
                raise ServiceError(f"not all users are labelled after {LABELLED_SECONDS:.0f} s:\n{table.render()}")
            return len(table.rows) == N_USERS and {row[-1] for row in table.rows} == LABELS

        follow(changes, table, screen, is_labelled)
        screen.draw(table.render(), keep=True)
        self.log(f"all {N_USERS} users are labelled, 0 spends least; the same table for {self.show_seconds:.0f} s more")
        screen = Screen()
        end = time.monotonic() + self.show_seconds

        def is_over() -> bool:
            self.require_healthy()
            return time.monotonic() > end

        follow(changes, table, screen, is_over)
        screen.draw(table.render(), keep=True)


def recreate(directory: Path) -> None:
    """Delete a folder and create it again, empty."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


def run(directory: Path, ports: Ports, show_seconds: float, page_port: int | None, echo: Echo) -> None:
    """Empty ``directory`` and run the demo in it, with the page if it has a port; DemoError if a step fails."""
    recreate(directory)
    configuration = client_configuration(directory, ports)
    client = Client(directory / "user_classifier", configuration)
    page = dashboard_on(page_port, directory, configuration)
    DatagenDemo(Stack(directory, ports), client, echo, show_seconds=show_seconds, dashboard=page).run()


def dashboard_on(port: int | None, directory: Path, configuration: Path) -> Dashboard | None:
    """Return the page of a demo; None without a port."""
    return None if port is None else Dashboard(directory / "dashboard", configuration, port)


def _relative(option: str) -> str:
    """Return an option; an absolute path below the current folder becomes a relative one."""
    path = Path(option)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else option
