"""`python -m local` shows the labels in a browser: beside a stack that stays, and at the end of the demo."""

import signal
import subprocess
from pathlib import Path

import requests

from local.services.process import free_port, is_listening
from tests.end_to_end.test_stack import DEMO_SECONDS, UP_SECONDS, Stack, stack, takes_signals
from tests.support.client import ROOT
from tests.support.waiting import wait_until

__all__ = ["stack"]


def served_by(port: int) -> str:
    """What a browser gets first."""
    return requests.get(f"http://127.0.0.1:{port}", timeout=30).text


def test_beside_a_stack_that_stays(stack: Stack) -> None:
    done = stack.run("up", "--without-flink")
    assert done.code == 0, done.output
    port = free_port()
    command = stack.command("dashboard", "--dashboard-port", str(port))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=takes_signals) as page:
        wait_until(lambda: is_listening(port) or page.poll() is not None, "the page", UP_SECONDS)
        assert "<!doctype html>" in served_by(port).lower()
        taken = stack.run("dashboard", "--dashboard-port", str(port))
        assert taken.code == 1
        assert taken.stderr.endswith("or choose another port: --dashboard-port N, or make ... DASHBOARD_PORT=N\n")
        page.send_signal(signal.SIGINT)
        said, _ = page.communicate(timeout=UP_SECONDS)
    assert said.startswith(f"http://127.0.0.1:{port} shows the labels; Ctrl-C ends it\n")
    assert page.returncode == 0


def test_at_the_end_of_the_demo(stack: Stack, tmp_path: Path) -> None:
    """Open until Ctrl-C, which is no failure; then nothing is left."""
    port = free_port()
    command = stack.command("demo", "--seconds", "1", "--dashboard", "--dashboard-port", str(port))
    with (tmp_path / "log").open("w") as log:
        demo = subprocess.Popen(command, cwd=ROOT, stdout=log, preexec_fn=takes_signals)
    said = (tmp_path / "log").read_text
    url = f"http://127.0.0.1:{port} shows the labels; Ctrl-C ends everything"
    wait_until(lambda: url in said() or demo.poll() is not None, "the page", DEMO_SECONDS)
    assert demo.poll() is None, said()
    assert "<!doctype html>" in served_by(port).lower()
    demo.send_signal(signal.SIGINT)
    assert demo.wait(UP_SECONDS) == 0
    assert said().splitlines()[-1].endswith("stopping everything")
    assert stack.processes() == []
    assert not is_listening(port)
