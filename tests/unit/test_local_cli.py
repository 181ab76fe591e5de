"""`python -m local`: options, environment variables, and what is said of mistakes."""

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


def test_ports_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Default, environment variable, option; an empty variable, as make passes it on, is none."""
    monkeypatch.setenv("KAFKA_PORT", "")
    monkeypatch.setenv("REGISTRY_PORT", "18081")
    monkeypatch.setenv("SQL_PORT", "18083")
    assert _ports(_parser().parse_args(["up", "--sql-port", "28083"])) == Ports(9092, 18081, 28083)


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1"])
def test_no_port(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Said with the option's name."""
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
def test_nothing_is_running(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command that needs the stack says how to start it."""
    assert main([*command, "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"python -m local {command[0]}: nothing is running; to start: make up\n"


def record_gateway(directory: Path, port: int) -> None:
    """What `up` leaves of a SQL gateway on this port."""
    me = {"name": "flink-sql-gateway", "pid": os.getpid(), "created": psutil.Process().create_time()}
    document = {"ports": {"kafka": 1, "registry": 1, "sql": port}, "flink_url": "", "processes": [me]}
    (directory / "processes.json").write_text(json.dumps(document), encoding="utf-8")


class Failing(BaseHTTPRequestHandler):
    """A service that is out of order."""

    def do_POST(self) -> None:
        """The same to everybody."""
        self.send_error(503)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_service_that_is_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which one, by its address, and what to type next."""
    port = free_port()
    record_gateway(tmp_path, port)
    assert main(["run-sql", "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"python -m local run-sql: no answer from 127.0.0.1:{port}; see what runs: make status\n"
    )


def test_service_that_is_out_of_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it answers, in one line, whatever it is."""
    with HTTPServer(("127.0.0.1", 0), Failing) as server:
        Thread(target=server.handle_request).start()
        record_gateway(tmp_path, server.server_port)
        assert main(["run-sql", "--directory", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert (
        said
        == f"python -m local run-sql: 127.0.0.1:{server.server_port} answers HTTP 503; see what runs: make status\n"
    )


def test_topic_setting_without_a_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The form it must have."""
    assert main(["create-topic", "t", "--config", "compact", "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "python -m local create-topic: --config compact: write KEY=VALUE, e.g. cleanup.policy=compact\n"
    )


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """And its examples can be parsed as they stand."""
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    started = ("up", "down", "status", "demo", "sql", "run-sql", "datagen", "load", "create-topic", "dashboard")
    for command in (*started, "fetch", "lock"):
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
def test_a_proxy_is_not_asked_for_own_services(
    before: dict[str, str], after: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        reach_own_services_directly()
    assert {name: value for name, value in os.environ.items() if name.lower() == "no_proxy"} == after
