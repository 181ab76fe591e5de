"""The demo on purchases from a file: label every user, then print a table and write a picture and the labels."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from classifier.reports.output_file import check_path
from local.demo import Client, Demo, DemoError, dashboard_on, recreate
from local.own_data.labelled_users import LabelledUsers
from local.own_data.load import bar, count_purchases, load_file
from local.own_data.purchases import Purchases
from local.services.artifacts import ROOT, Echo
from local.services.process import ServiceError
from local.sql.workspace import Workspace, pipeline_files
from local.stack import Ports, Stack, client_configuration

PICTURE = "clustering.png"
LABELS = "labels.csv"
IDLE_SECONDS = 180.0
"""The demo fails if nothing changes for this long; Flink and the client commit every few seconds."""
POLL_SECONDS = 0.5
TABLE_START = "label "
TABLE_END = "all "
"""How the first and the last line of the client's summary start."""


@dataclass(kw_only=True)
class OwnDataDemo(Demo):
    """Runs the pipeline on the purchases, which replace statement 2."""

    purchases: Purchases
    n_purchases: int
    out: Path

    def steps(self) -> None:
        """See Demo."""
        first, second, *others = pipeline_files()[:-1]
        with self.step("starting Kafka, Schema Registry and Flink"):
            self.stack.start()
            workspace = self.stack.workspace(self.log)
        self._run_file(workspace, first)
        with self.step(f"loading {self.purchases.path}, in place of {second.relative_to(ROOT)}"):
            load_file(self.purchases, self.n_purchases, self.stack.ports.endpoints)
        for path in others:
            self._run_file(workspace, path)
        with self.step(f"running {self.client}"):
            self.client.start()
        with self.step("labelling every user"):
            n_users = self._wait_until_labelled()
            self._stop_client()
        self.log(f"all {n_users:,} users are labelled, 0 spends least; totals are twice those of the file")
        with self.step(f"writing {self.out / LABELS}"):
            run_client(self.client, ["--export", str(self.out / LABELS)])
        for line in last_table(self.client.log_since_start()):
            self.echo(line)
        self.show_page()

    def _run_file(self, workspace: Workspace, path: Path) -> None:
        with self.step(f"running {path.relative_to(ROOT)}"):
            workspace.run_file(path)

    def _wait_until_labelled(self) -> int:
        """Wait until every user's label is computed from all purchases, and return the number of users."""
        counting = bar("counted", self.n_purchases, " purchases")
        with closing(LabelledUsers(self.stack.ports.endpoints)) as labelled, counting as advance:
            counts = (0, 0)
            last_change = time.monotonic()
            while not labelled.is_complete(self.n_purchases):
                self.require_healthy()
                labelled.read(POLL_SECONDS)
                new_counts = (labelled.n_purchases, labelled.n_final_purchases)
                if new_counts != counts:
                    advance(new_counts[0] - counts[0])
                    counts = new_counts
                    last_change = time.monotonic()
                if time.monotonic() - last_change > IDLE_SECONDS:
                    raise ServiceError(
                        f"no change for {IDLE_SECONDS:.0f} s: {labelled.n_users:,} users are labelled, with "
                        f"{counts[0]:,} of {self.n_purchases:,} purchases; logs: {self.stack.directory}"
                    )
            return labelled.n_users

    def _stop_client(self) -> None:
        """Stop the client, which writes its last picture and summary."""
        self.client.stop()
        if self.client.exit_code != 0:
            raise self.client.failure(f"exited with code {self.client.exit_code}")


def run(
    directory: Path,
    ports: Ports,
    purchases: Purchases,
    out: Path,
    client_options: Sequence[str],
    page_port: int | None,
    echo: Echo,
) -> None:
    """Empty ``directory``, run the pipeline in it, and write picture and labels to ``out``."""
    started = time.monotonic()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoError(f"{out}: cannot be created ({error.strerror}); choose another folder: --out or OUT=") from None
    try:
        check_path(out / PICTURE)
        check_path(out / LABELS, (".csv", ".csv.gz"), "write")
    except ValueError as error:
        raise DemoError(str(error)) from None
    n_purchases = count_purchases(purchases, echo)
    recreate(directory)
    options = ["--plot", str((out / PICTURE).absolute()), "--summary", *client_options]
    configuration = client_configuration(directory, ports)
    client = Client(directory / "user_classifier", configuration, options)
    run_client(client, [*client_options, "--print-config"])  # rejects invalid options before anything is started
    stack = Stack(directory, ports)
    page = dashboard_on(page_port, directory, configuration)
    demo = OwnDataDemo(
        stack, client, echo, started, dashboard=page, purchases=purchases, n_purchases=n_purchases, out=out
    )
    demo.run()
    echo(f"labels: {out / LABELS}")
    echo(f"picture: {out / PICTURE}")


def run_client(client: Client, options: Sequence[str]) -> None:
    """Run the client with other options until it exits; DemoError with its last message if it fails."""
    done = subprocess.run(client.command_with(options), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        messages = done.stderr.strip().splitlines() or [f"the client exited with code {done.returncode}"]
        raise DemoError(messages[-1])


def last_table(log: str) -> list[str]:
    """Return the client's last summary, without the timestamps."""
    lines = [line.partition(" INFO ")[2] for line in log.splitlines()]
    start = max((index for index, line in enumerate(lines) if line.startswith(TABLE_START)), default=len(lines))
    end = next((index for index in range(start, len(lines)) if lines[index].startswith(TABLE_END)), start - 1)
    return lines[start : end + 1]
