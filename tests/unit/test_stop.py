"""StopRequest: the first signal asks for a stop, the second one ends the process."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from classifier import stop as stop_module
from classifier.stop import NOT_COMMITTED, StopRequest
from tests.support.client import SCRIPT, TIMEOUT_S


def test_the_second_signal_has_its_default_action() -> None:
    stop = StopRequest()
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        stop.install()
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == [signal.SIG_DFL] * 2
    finally:
        stop.close()
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def test_process_1_exits_at_the_second_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel ends process 1 only by SIGKILL."""
    ended: list[int] = []
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(os, "_exit", ended.append)
    stop = StopRequest()
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        stop.install()
        signal.raise_signal(signal.SIGTERM)
        assert ended == []
        signal.raise_signal(signal.SIGINT)
    finally:
        stop.close()
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    assert ended == [128 + signal.SIGINT]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_imports(number: signal.Signals, tmp_path: Path) -> None:
    """The client imports libraries for most of its first second; here the first import never ends."""
    (tmp_path / "numpy.py").write_text("import signal\nprint('importing', flush=True)\nsignal.pause()\n")
    command: list[str | Path] = [sys.executable, SCRIPT, "x.ini"]
    paths = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(command, env=paths, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"importing\n"
            process.send_signal(number)
            assert process.communicate(timeout=TIMEOUT_S)[0] == b""
        finally:
            process.kill()
    assert process.returncode == 0


def test_a_process_that_does_not_end_in_time_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    ended = threading.Event()
    monkeypatch.setattr(stop_module, "GRACE_SECONDS", 0.0)

    def fake_exit(code: int) -> None:
        written.append(str(code))
        ended.set()

    monkeypatch.setattr(os, "_exit", fake_exit)
    stop = StopRequest(written.append)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        stop.install()
        stop.last_step = NOT_COMMITTED
        signal.raise_signal(signal.SIGTERM)
        assert ended.wait(30.0)
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    assert written == [f"stop requested, but a call did not return within 0 s; {NOT_COMMITTED}", "1"]
