"""`python -m local`: options, environment variables and error messages."""

import json
import os
import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import psutil
import pytest

from local.__main__ import _parser, _ports, main, reach_own_services_directly
from local.services.process import free_port
from local.stack import Ports
from tests.support.planted import of_another_account, shared_folder


def test_ports_from_default_variable_and_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable, as make exports it, counts as unset."""
    monkeypatch.setenv("KAFKA_PORT", "")
    monkeypatch.setenv("REGISTRY_PORT", "18081")
    monkeypatch.setenv("SQL_PORT", "18083")
    assert _ports(_parser().parse_args(["up", "--sql-port", "28083"])) == Ports(9092, 18081, 28083)


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1"])
def test_an_invalid_port_is_rejected(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["up", f"--kafka-port={text}"])
    assert caught.value.code == 2
    expected = f"argument --kafka-port: a port is a whole number from 1 to 65535, got '{text}'\n"
    assert capsys.readouterr().err.endswith(expected)


@pytest.mark.parametrize(
    "command",
    [["status"], ["sql"], ["run-sql"], ["datagen"], ["dashboard"], ["create-topic", "t"]],
    ids=lambda command: command[0],
)
def test_a_command_that_needs_the_stack(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its message names the command that starts the stack."""
    assert main([*command, "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"python -m local {command[0]}: nothing is running; to start: make up\n"


@pytest.mark.parametrize("command", [["up"], ["down", "--delete-data"], ["demo"], ["status"]])
@pytest.mark.parametrize("planted", ["link", "folder"])
def test_a_directory_that_another_account_has_planted(
    planted: str,
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = shared_folder(tmp_path / "shared") / "x"
    path.symlink_to(tmp_path) if planted == "link" else path.mkdir()
    of_another_account(path, monkeypatch)
    for directory in (path, path / "inner"):
        with pytest.raises(SystemExit) as caught:
            main([*command, "--directory", str(directory)])
        assert caught.value.code == 2
        assert f"x is a {planted} of another account" in capsys.readouterr().err.replace("'", "")


def test_a_directory_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["demo", "--directory", str(tmp_path / "file" / "x")]) == 1
    assert capsys.readouterr().err == f"python -m local demo: {tmp_path / 'file' / 'x'}: Not a directory\n"


def record_gateway(directory: Path, port: int) -> None:
    """Write the state that `up` leaves for a SQL gateway on this port."""
    me = {"name": "flink-sql-gateway", "pid": os.getpid(), "created": psutil.Process().create_time()}
    document = {"ports": {"kafka": 1, "registry": 1, "sql": port}, "flink_url": "", "processes": [me]}
    (directory / "processes.json").write_text(json.dumps(document), encoding="utf-8")


class Failing(BaseHTTPRequestHandler):
    """A service that answers every request with an error."""

    def do_POST(self) -> None:
        """Answer 503."""
        self.send_error(503)

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""


def test_a_service_that_does_not_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    record_gateway(tmp_path, port)
    assert main(["run-sql", "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"python -m local run-sql: no answer from 127.0.0.1:{port}; see what runs: make status\n"
    )


def test_a_service_that_answers_with_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with HTTPServer(("127.0.0.1", 0), Failing) as server:
        Thread(target=server.handle_request).start()
        record_gateway(tmp_path, server.server_port)
        assert main(["run-sql", "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"python -m local run-sql: 127.0.0.1:{server.server_port} answered HTTP 503; see what runs: make status\n"
    )


def test_a_topic_setting_without_a_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create-topic", "t", "--config", "compact", "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "python -m local create-topic: --config compact: write KEY=VALUE, e.g. cleanup.policy=compact\n"
    )


def test_help_lists_every_command_and_examples_that_parse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    names = ("up", "down", "status", "demo", "sql", "run-sql", "datagen", "load", "create-topic", "dashboard")
    for command in (*names, "fetch", "lock"):
        assert re.search(rf"^ +{command}\s", text, re.MULTILINE), command
    examples = re.findall(r"^  python -m local (.+?)(?:  .*)?$", text, re.MULTILINE)
    assert len(examples) == 8
    for example in examples:
        _parser().parse_args(example.split())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"NO_PROXY": "127.0.0.1"}),
        ({"NO_PROXY": "example.org"}, {"NO_PROXY": "example.org,127.0.0.1"}),
        ({"no_proxy": "a,b", "NO_PROXY": "c"}, {"no_proxy": "a,b,127.0.0.1", "NO_PROXY": "c"}),
    ],
)
def test_the_services_are_reached_without_the_proxy(
    before: dict[str, str], after: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        reach_own_services_directly()
    assert {name: value for name, value in os.environ.items() if name.lower() == "no_proxy"} == after
