"""Background processes; a Python program stands in for a service."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.services.process import Service, ServiceError, free_port, is_alive, is_listening, stop_processes
from tests.support.waiting import wait_until

READY = "import time; print('ready', flush=True); time.sleep(60)"


class Program(Service):
    """A Python program that is ready once it has printed 'ready'."""

    name = "program"

    def __init__(self, directory: Path, code: str, ends_with_parent: bool = True) -> None:
        super().__init__(directory, ends_with_parent)
        self.code = code

    def command(self) -> list[str]:
        """See Service."""
        return [sys.executable, "-S", "-E", "-c", self.code]

    def is_ready(self) -> bool:
        """Return whether it has printed 'ready' since its last start."""
        return "ready" in self.log_since_start()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A program that starts; it is killed after the test."""
    program = Program(tmp_path, READY)
    yield program
    program.kill()


def test_start_stop_start_kill(program: Program) -> None:
    """Each start is a new process; the log is continued."""
    program.start()
    first = program.pid
    program.stop()
    assert not program.is_running
    program.start()
    assert program.pid != first
    program.kill()
    assert not program.is_running
    assert program.log_path.read_text(encoding="utf-8") == "ready\nready\n"


def test_a_service_has_a_session_of_its_own(program: Program) -> None:
    """Ctrl-C in the terminal does not reach it."""
    program.start()
    assert psutil.Process(program.pid).terminal() is None


def test_a_service_that_exits_during_startup(tmp_path: Path) -> None:
    """The message names it and shows the log of this start only."""
    program = Program(tmp_path, "print('old'); raise SystemExit(3)")
    for _ in range(2):
        program.code = program.code.replace("old", "why")
        with pytest.raises(ServiceError) as caught:
            program.start()
    assert str(caught.value) == f"program exited during startup; the last lines of {program.log_path}:\n  why"


def test_a_service_that_is_not_ready_in_time(program: Program) -> None:
    """It keeps running; the caller has to stop it."""
    program.code = "import time; time.sleep(60)"
    program.ready_seconds = 0.2
    with pytest.raises(ServiceError, match=r"^program was not ready after 0 s; the last lines of "):
        program.start()


def test_a_service_has_no_pid_before_its_start(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"^program is not started$"):
        _ = Program(tmp_path, READY).pid


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this signal")
def test_a_service_ends_with_its_parent(tmp_path: Path) -> None:
    """Even if the parent is killed."""
    code = (
        "import sys, time; from pathlib import Path; from tests.unit.test_local_process import Program, READY\n"
        f"p = Program(Path({str(tmp_path)!r}), READY); p.start(); print(p.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        wait_until(lambda: not is_alive(child), "the child to end", 10)


def test_stop_processes(tmp_path: Path) -> None:
    """One exits on SIGTERM, one has to be killed, one has already exited."""
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + READY
    programs = [Program(tmp_path / str(number), code) for number, code in enumerate((READY, stubborn, READY))]
    for program in programs:
        program.start()
    processes = [psutil.Process(program.pid) for program in programs]
    programs[2].kill()
    stop_processes(processes, seconds=0.3)
    wait_until(lambda: not any(program.is_running for program in programs), "all to end", 10)


def test_a_free_port_has_no_listener() -> None:
    assert not is_listening(free_port())
