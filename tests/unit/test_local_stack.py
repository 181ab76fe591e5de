"""The files of the stack: state, catalog, configuration; and its ports."""

import configparser
import json
import os
import socket
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from local import stack
from local.sql.catalog import Catalog, Job
from local.sql.jobs import latest_checkpoint
from local.stack import Ports, RecordedProcess, StackError, StackState


def test_the_default_ports_need_no_copy_of_local_ini(tmp_path: Path) -> None:
    path = stack.client_configuration(tmp_path, Ports())
    assert path == stack.LOCAL_CONFIGURATION
    found = configparser.ConfigParser(interpolation=None)
    found.read(path, encoding="utf-8")
    endpoints = Ports().endpoints
    assert found["schema_registry"]["url"] == endpoints.registry_url
    assert found["consumer"]["bootstrap.servers"] == endpoints.bootstrap_servers
    assert found["producer"]["bootstrap.servers"] == endpoints.bootstrap_servers


def test_other_ports_get_a_copy_of_local_ini(tmp_path: Path) -> None:
    found = configparser.ConfigParser(interpolation=None)
    found.read(stack.client_configuration(tmp_path, Ports(1, 2, 3)), encoding="utf-8")
    assert {name: dict(found[name]) for name in found.sections()} == {
        "schema_registry": {"url": "http://127.0.0.1:2/apis/ccompat/v7"},
        "consumer": {
            "bootstrap.servers": "127.0.0.1:1",
            "group.id": "args.group",
            "auto.offset.reset": "earliest",
        },
        "producer": {"bootstrap.servers": "127.0.0.1:1"},
    }


def test_a_port_in_use() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        with pytest.raises(StackError) as caught:
            stack.require_free("registry", port)
    me = psutil.Process()
    assert str(caught.value) == (
        f"port {port} is in use by {me.name()} (pid {me.pid}); stop it (if it is your own stack: make down), "
        "or choose another port: --registry-port N, or make ... REGISTRY_PORT=N"
    )


def test_the_state_of_running_processes(tmp_path: Path) -> None:
    me = RecordedProcess("kafka", os.getpid(), psutil.Process().create_time())
    write_state(tmp_path, [me])
    assert stack.read_state(tmp_path) == StackState(Ports(1, 2, 3), "http://flink", [me])


def test_a_pid_that_belongs_to_another_process_now(tmp_path: Path) -> None:
    """Its creation time differs."""
    write_state(tmp_path, [RecordedProcess("kafka", os.getpid(), 1.0)])
    assert stack.read_state(tmp_path) is None


def test_down_without_a_stack(tmp_path: Path) -> None:
    assert stack.read_state(tmp_path) is None
    messages: list[str] = []
    stack.down(tmp_path, messages.append)
    assert messages == ["nothing is running"]


def test_up_with_other_ports_than_the_running_stack(tmp_path: Path) -> None:
    """The message names the ports of the running stack."""
    write_state(tmp_path, [RecordedProcess("kafka", os.getpid(), psutil.Process().create_time())])
    problem = "the stack is already running on the ports 1, 2, 3; to change them: make down"
    with pytest.raises(StackError, match=f"^{problem}$"):
        stack.up(tmp_path, Ports(), with_flink=True, echo=print)


def test_down_can_delete_the_data(tmp_path: Path) -> None:
    directory = tmp_path / "up"
    directory.mkdir()
    (directory / "data").touch()
    messages: list[str] = []
    stack.down(directory, messages.append, delete_data=True)
    assert not directory.exists()
    assert messages == ["nothing is running", f"{directory} deleted"]


def test_the_catalog_is_read_by_the_next_command(tmp_path: Path) -> None:
    """A job replaces an earlier one of the same name."""
    catalog = Catalog(tmp_path)
    catalog.add_table("t", "CREATE TABLE t (a INT)")
    for job in (
        Job("insert", "1", "INSERT ..."),
        Job("insert", "2", "INSERT ..."),
        Job("other", "3", rows_per_second=5),
    ):
        catalog.add_job(job)
    again = Catalog(tmp_path)
    assert again.tables == {"t": "CREATE TABLE t (a INT)"}
    assert again.jobs == {"insert": Job("insert", "2", "INSERT ..."), "other": Job("other", "3", rows_per_second=5)}


def test_the_catalog_keeps_only_the_given_jobs(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    for name in ("stopped", "failed"):
        catalog.add_job(Job(name, name, "INSERT ..."))
    catalog.keep_jobs({"stopped": "file:/savepoint"})
    assert Catalog(tmp_path).jobs == {"stopped": Job("stopped", "stopped", "INSERT ...", savepoint="file:/savepoint")}


def test_the_latest_checkpoint(tmp_path: Path) -> None:
    """The one with the highest number; without metadata it is incomplete."""
    for number in (2, 9, 10, 11):
        (tmp_path / "job" / f"chk-{number}").mkdir(parents=True)
        if number != 11:
            (tmp_path / "job" / f"chk-{number}" / "_metadata").touch()
    assert latest_checkpoint(tmp_path, "job") == (tmp_path / "job" / "chk-10").as_uri()
    assert latest_checkpoint(tmp_path, "other") is None


def write_state(directory: Path, processes: list[RecordedProcess]) -> None:
    """Write the state file as `up` does."""
    document = {
        "ports": {"kafka": 1, "registry": 2, "sql": 3},
        "flink_url": "http://flink",
        "processes": [{"name": p.name, "pid": p.pid, "created": p.created} for p in processes],
    }
    (directory / "processes.json").write_text(json.dumps(document), encoding="utf-8")
