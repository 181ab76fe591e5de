"""`python -m local` as a user runs it: up, status, run-sql, load, down, demo; their output and processes."""

import csv
import gzip
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from fastavro import parse_schema

from local.services.process import free_port, is_listening
from tests.support.client import ROOT, Finished
from tests.support.subjects import Subjects
from tests.support.topics import Topics
from tests.support.waiting import wait_until
from tests.support.wire import schema_id_of, unframe

UP_SECONDS = 600.0
DEMO_SECONDS = 900.0


@dataclass
class Stack:
    """A stack with its own ports and directory."""

    directory: Path
    kafka_port: int
    registry_port: int
    sql_port: int

    @property
    def ports(self) -> list[str]:
        """The options for the ports."""
        ports = {"kafka": self.kafka_port, "registry": self.registry_port, "sql": self.sql_port}
        return [text for name, port in ports.items() for text in (f"--{name}-port", str(port))]

    @property
    def topics(self) -> Topics:
        """The broker's topics."""
        return Topics(f"127.0.0.1:{self.kafka_port}")

    @property
    def subjects(self) -> Subjects:
        """The registry's subjects."""
        return Subjects(f"http://127.0.0.1:{self.registry_port}/apis/ccompat/v7")

    def command(self, name: str, *more: str) -> list[str]:
        """Return the command line."""
        ports = self.ports if name in {"up", "demo"} else []
        return [sys.executable, "-m", "local", name, "--directory", str(self.directory), *ports, *more]

    def run(self, name: str, *more: str) -> Finished:
        """Run a command until it exits."""
        done = subprocess.run(
            self.command(name, *more), cwd=ROOT, capture_output=True, text=True, timeout=UP_SECONDS, check=False
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def up_again(self) -> "Stack":
        """Start the stack; it must succeed."""
        done = self.run("up")
        assert done.code == 0, done.output
        return self

    def processes(self, program: str = "") -> list[psutil.Process]:
        """Return the processes of this stack, or of one program: those with its directory on their command line."""
        running = ((p, p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"]))
        return [p for p, command in running if self._is_own(command) and program in " ".join(command)]

    def _is_own(self, command: Sequence[str]) -> bool:
        return "local" not in command and any(str(self.directory) in argument for argument in command)


@pytest.fixture
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """A stack that is stopped after the test."""
    if request.config.getoption("--no-kafka"):
        pytest.skip("--no-kafka was given")
    stack = Stack(tmp_path / "stack", free_port(), free_port(), free_port())
    yield stack
    stack.run("down")
    assert stack.processes() == []


def test_up_down_and_a_crash(stack: Stack) -> None:
    """Everything listens on loopback; nothing is lost, and each transaction is enriched once."""
    done = stack.run("up")
    assert done.code == 0, done.output
    assert_all_on_loopback(stack)
    assert stack.run("status").stdout == done.stdout.rpartition("client: ")[0]
    assert stack.run("up").stdout == f"the stack is already running\n{done.stdout}"
    start_statements(stack)

    assert stack.run("down").code == 0
    assert stack.processes() == []
    assert stack.run("status").output == "python -m local status: nothing is running; to start: make up\n"
    stopped = enriched(stack.up_again())
    assert stack.topics.partitions("transactions_enriched") == [0, 1, 2, 3, 4, 5]
    assert stack.subjects.exists("transactions_enriched-value")
    wait_until(lambda: enriched(stack, len(stopped) + 100), "transactions after down and up")

    for process in stack.processes():
        process.kill()
    killed = enriched(stack.up_again())
    wait_until(lambda: enriched(stack, len(killed) + 100), "transactions after a crash")
    ids = sorted(enriched(stack))
    assert ids == list(range(1, len(ids) + 1))


def start_statements(stack: Stack) -> None:
    """Start the stream, the first table and its INSERT, which is not started twice; SELECT from a missing table."""
    assert stack.run("datagen", "--rate", "50").code == 0
    files = ["sql/1_create_transactions_enriched.sql", "sql/2_insert_transactions_enriched.sql"]
    first = stack.run("run-sql", *files)
    second = stack.run("run-sql", *files)
    job_id = first.stdout.split()[-1]
    assert first.output == f"{files[0]}\n{files[1]}\n  running as job {job_id}\n"
    assert f"is already running as job {job_id}\n" in second.stdout
    query = stack.run("run-sql", "sql/8_select_user_labeling_final.sql")
    assert (query.code, query.stderr) == (
        1,
        "python -m local run-sql: sql/8_select_user_labeling_final.sql: topic user_labeling_final does not exist; "
        "create it first\n",
    )
    wait_until(lambda: enriched(stack, 100), "the first transactions")


def enriched(stack: Stack, at_least: int = 0) -> list[int]:
    """Return the transaction ids in `transactions_enriched`; an empty list while there are fewer than ``at_least``."""
    values = [record.value for record in stack.topics.read("transactions_enriched") if record.value]
    if len(values) < max(at_least, 1):
        return []
    schema = parse_schema(stack.subjects.schema(schema_id_of(values[0])))
    return [unframe(schema, value)["transaction_id"] for value in values]


def assert_all_on_loopback(stack: Stack) -> None:
    """Check that there are five processes, which listen only on loopback."""
    processes = stack.processes()
    assert len(processes) == 5
    listening = [c.laddr.ip for p in processes for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert len(listening) > 5
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


def test_a_stack_without_flink(stack: Stack) -> None:
    """A port in use is an error; `up` restarts only a service that was killed, with its data."""
    assert stack.run("up", "--without-flink").code == 0
    assert not is_listening(stack.sql_port)
    kafka, registry = json.loads((stack.directory / "processes.json").read_text())["processes"]
    assert stack.run("create-topic", "kept", "--partitions", "2").code == 0
    assert stack.run("sql").output == "python -m local sql: Flink is not running; to start it: make up\n"

    other = Stack(stack.directory.with_name("other"), stack.kafka_port, free_port(), free_port())
    done = other.run("up")
    assert (done.code, done.output) == (
        1,
        f"python -m local up: port {stack.kafka_port} is in use by java (pid {kafka['pid']}); stop it (if it is your "
        "own stack: make down), or choose another port: --kafka-port N, or make ... KAFKA_PORT=N\n",
    )
    assert other.processes() == []

    os.kill(kafka["pid"], signal.SIGKILL)
    wait_until(lambda: not is_listening(stack.kafka_port), "the broker to stop")
    assert "kafka                NOT RUNNING" in stack.run("status").stdout
    assert stack.run("up", "--without-flink").code == 0
    assert stack.topics.partitions("kept") == [0, 1]
    assert psutil.pid_exists(registry["pid"])


def test_demo(stack: Stack) -> None:
    """It shows ten users with the labels 0, 1 and 2, exits with 0 and leaves no process."""
    command = stack.command("demo", "--seconds", "2")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEMO_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.strip("| ").split() for line in done.stdout.splitlines() if line.startswith("| User_")]
    assert len({row[0] for row in rows}) == 10
    assert {row[-1] for row in rows} == {"0", "1", "2"}
    assert "the same in a browser: make demo DASHBOARD=1, or make up and then make dashboard" in done.stdout
    assert stack.processes() == []


def test_demo_on_own_data(stack: Stack, tmp_path: Path) -> None:
    """All users are labelled, with doubled totals; it prints a table and writes two files; no process is left."""
    path = tmp_path / "purchases.csv.gz"
    out = tmp_path / "out"
    amounts = {f"user {number}": [float(10 ** (number % 3)), number / 4] for number in range(60)}
    lines = [f"{user};{amount}" for user, spent in amounts.items() for amount in spent]
    path.write_bytes(gzip.compress("\n".join(["who;price", *lines]).encode()))
    command = stack.command("demo", "--csv", str(path), "--user", "who", "--out", str(out), "-k", "2")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEMO_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = [re.sub(r"^\[ *\d+ s\] ", "", line) for line in done.stdout.splitlines()]
    assert f"{path}: 120 purchases" in printed
    assert "all 60 users are labelled, 0 spends least; totals are twice those of the file" in printed
    assert printed[-2:] == [f"labels: {out / 'labels.csv'}", f"picture: {out / 'clustering.png'}"]
    assert [line.split()[0] for line in printed if line.startswith(("label ", "0 ", "1 ", "all  "))][-4:] == [
        "label", "0", "1", "all",
    ]  # fmt: skip
    with (out / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["user_id"]: row for row in csv.DictReader(file)}
    assert {user: float(row["total_amount"]) for user, row in rows.items()} == {
        user: 2 * sum(spent) for user, spent in amounts.items()
    }
    assert {row["num_transactions"] for row in rows.values()} == {"4"}
    assert {row["label"] for row in rows.values()} == {"0", "1"}
    assert (out / "clustering.png").read_bytes().startswith(b"\x89PNG")
    assert stack.processes() == []


def test_load(stack: Stack, tmp_path: Path) -> None:
    """It runs statement 1 if necessary; a second load adds to the first and prints that."""
    path = tmp_path / "purchases.csv"
    path.write_text("user,amount\nann,10\nbob,5\n", encoding="utf-8")
    stack.up_again()
    expected = [
        f"{path}: the user is column user, the amount column amount; line 1 is its header",
        f"{path}: 2 purchases",
        "all purchases are in transactions_enriched; next: python -m local run-sql sql/[3-8]_*.sql",
    ]
    first = stack.run("load", str(path))
    second = stack.run("load", str(path))
    assert (first.code, first.stdout.splitlines()) == (0, expected), first.output
    expected.insert(2, "transactions_enriched already contains records; the totals count them too")
    assert (second.code, second.stdout.splitlines()) == (0, expected), second.output
    records = stack.topics.read("transactions_enriched")
    rows = [unframe(stack.subjects.schema(schema_id_of(r.value or b"")), r.value or b"") for r in records]
    assert sorted((row["user_id"], row["amount"]) for row in rows) == [("ann", 10.0)] * 2 + [("bob", 5.0)] * 2


def accept_ctrl_c() -> None:
    """Reset SIGINT, which a shell ignores in its background processes and in their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo(stack: Stack, number: signal.Signals) -> None:
    """Ctrl-C or SIGTERM while the services start: all of them are stopped."""
    command = stack.command("demo")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=accept_ctrl_c) as demo:
        wait_until(lambda: len(stack.processes()) == 5, "the services to be started", UP_SECONDS)
        demo.send_signal(number)
        output, _ = demo.communicate(timeout=UP_SECONDS)
    assert demo.returncode == 130
    assert output.splitlines()[-1].endswith("stopping everything")
    assert stack.processes() == []


def test_a_demo_with_a_service_that_fails(stack: Stack) -> None:
    """The message names the step and the service, and ends in the last lines of its log."""
    with subprocess.Popen(
        stack.command("demo"), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as demo:
        # Kept once found: a process that executes another program has no command line for a moment.
        registry, *_ = wait_until(lambda: stack.processes("quarkus"), "the registry to be started")
        registry.kill()
        _, errors = demo.communicate(timeout=UP_SECONDS)
    assert demo.returncode == 1
    log = stack.directory / "registry" / "schema-registry.log"
    assert errors.startswith(
        "python -m local demo: failed while starting Kafka, Schema Registry and Flink: "
        f"schema-registry exited during startup; the last lines of {log}:\n"
    )
    assert stack.processes() == []
