"""The whole pipeline once on purchases from a file: every user labelled, a table, a picture and a file of labels."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from local.demo import Client, Demo, DemoError, fresh, page_of
from local.own_data.labelled_users import LabelledUsers
from local.own_data.load import bar, count_purchases, load_file
from local.own_data.purchases import Purchases
from local.services.artifacts import ROOT, Echo
from local.services.process import ServiceError
from local.sql.workspace import Workspace, pipeline_files
from local.stack import Ports, Stack, client_configuration

PICTURE, LABELS = "clustering.png", "labels.csv"
IDLE_SECONDS = 180.0
"""How long nothing may change before all users are labelled; Flink and the client commit every few seconds."""
POLL_SECONDS = 0.5
TABLE_BEGINS, TABLE_ENDS = "label ", "all "


@dataclass(kw_only=True)
class OwnDataDemo(Demo):
    """The pipeline without statement 2, whose place the purchases take."""

    purchases: Purchases
    n_purchases: int
    out: Path

    def steps(self) -> None:
        """See Demo."""
        first, second, *others = pipeline_files()[:-1]
        with self.step("starting Kafka, Schema Registry and Flink"):
            self.stack.start()
            workspace = self.stack.workspace(self.say)
        self._run_file(workspace, first)
        with self.step(f"loading {self.purchases.path}, in place of {second.relative_to(ROOT)}"):
            load_file(self.purchases, self.n_purchases, self.stack.ports.endpoints)
        for path in others:
            self._run_file(workspace, path)
        with self.step(f"running {self.client}"):
            self.client.start()
        with self.step("labelling every user"):
            n_users = self._labelled()
            self._stop_client()
        self.say(f"all {n_users:,} users are labelled, 0 spends least; totals are twice those of the file")
        with self.step(f"writing {self.out / LABELS}"):
            ask(self.client, ["--export", str(self.out / LABELS)])
        for line in last_table(self.client.log_since_start()):
            self.echo(line)
        self.keep_open()

    def _run_file(self, workspace: Workspace, path: Path) -> None:
        with self.step(f"running {path.relative_to(ROOT)}"):
            workspace.run_file(path)

    def _labelled(self) -> int:
        """Wait until every user is labelled by all of its purchases: how many users there are."""
        what = ("counted", self.n_purchases, " purchases")
        with closing(LabelledUsers(self.stack.ports.endpoints)) as labelled, bar(*what) as advance:
            seen, changed = (0, 0), time.monotonic()
            while not labelled.is_complete(self.n_purchases):
                self.require_healthy()
                labelled.read(POLL_SECONDS)
                now = labelled.n_purchases, labelled.n_followed
                if now != seen:
                    advance(now[0] - seen[0])
                    seen, changed = now, time.monotonic()
                if time.monotonic() - changed > IDLE_SECONDS:
                    raise ServiceError(
                        f"for {IDLE_SECONDS:.0f} s nothing has changed: {labelled.n_users:,} users are labelled by "
                        f"{seen[0]:,} of {self.n_purchases:,} purchases; logs: {self.stack.directory}"
                    )
            return labelled.n_users

    def _stop_client(self) -> None:
        """It draws and tells once more what it has come to."""
        self.client.stop()
        if self.client.exit_code != 0:
            raise self.client.failure(f"ended with {self.client.exit_code}")


def run(
    directory: Path,
    ports: Ports,
    purchases: Purchases,
    out: Path,
    client_options: Sequence[str],
    page_port: int | None,
    echo: Echo,
) -> None:
    """Run the pipeline in a fresh ``directory``; picture and labels are written into ``out``."""
    began = time.monotonic()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoError(f"{out}: cannot be made ({error.strerror}); choose another folder: --out or OUT=") from None
    n_purchases = count_purchases(purchases, echo)
    fresh(directory)
    options = ["--plot", str((out / PICTURE).absolute()), "--summary", *client_options]
    configuration = client_configuration(directory, ports)
    client = Client(directory / "user_classifier", configuration, options)
    ask(client, [*client_options, "--print-config"])  # a mistake in what is passed on is told before the start
    stack = Stack(directory, ports)
    page = page_of(directory, configuration, page_port)
    OwnDataDemo(stack, client, echo, began, dashboard=page, purchases=purchases, n_purchases=n_purchases, out=out).run()
    echo(f"labels: {out / LABELS}")
    echo(f"picture: {out / PICTURE}")


def ask(client: Client, options: Sequence[str]) -> None:
    """Run the client to its end for something else; DemoError says in its own words why it did not."""
    done = subprocess.run(client.command_with(options), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"the client ended with {done.returncode}"]
        raise DemoError(said[-1])


def last_table(log: str) -> list[str]:
    """The client's last summary, without the times."""
    lines = [line.partition(" INFO ")[2] for line in log.splitlines()]
    begin = max((at for at, line in enumerate(lines) if line.startswith(TABLE_BEGINS)), default=len(lines))
    end = next((at for at in range(begin, len(lines)) if lines[at].startswith(TABLE_ENDS)), begin - 1)
    return lines[begin : end + 1]
