"""The page of `python -m local`: on a running stack, and at the end of the demo."""

import signal
import subprocess
from pathlib import Path

import requests

from local.services.process import free_port, is_listening
from tests.end_to_end.test_stack import DEMO_SECONDS, UP_SECONDS, Stack, accept_ctrl_c, stack
from tests.support.client import ROOT
from tests.support.waiting import wait_until

__all__ = ["stack"]


def served_by(port: int) -> str:
    """Return the first response to a browser."""
    return requests.get(f"http://127.0.0.1:{port}", timeout=30).text


def test_the_page_of_a_running_stack(stack: Stack) -> None:
    done = stack.run("up", "--without-flink")
    assert done.code == 0, done.output
    port = free_port()
    command = stack.command("dashboard", "--dashboard-port", str(port))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=accept_ctrl_c) as page:
        wait_until(lambda: is_listening(port) or page.poll() is not None, "the page", UP_SECONDS)
        assert "<!doctype html>" in served_by(port).lower()
        taken = stack.run("dashboard", "--dashboard-port", str(port))
        assert taken.code == 1
        assert taken.stderr.endswith("or choose another port: --dashboard-port N, or make ... DASHBOARD_PORT=N\n")
        page.send_signal(signal.SIGINT)
        output, _ = page.communicate(timeout=UP_SECONDS)
    assert output.startswith(f"http://127.0.0.1:{port} shows the labels; Ctrl-C ends it\n")
    assert page.returncode == 0


def test_the_page_at_the_end_of_the_demo(stack: Stack, tmp_path: Path) -> None:
    """It is served until Ctrl-C, which is not a failure; then no process is left."""
    port = free_port()
    command = stack.command("demo", "--seconds", "1", "--dashboard", "--dashboard-port", str(port))
    with (tmp_path / "log").open("w") as log:
        demo = subprocess.Popen(command, cwd=ROOT, stdout=log, preexec_fn=accept_ctrl_c)
    output = (tmp_path / "log").read_text
    url = f"http://127.0.0.1:{port} shows the labels; Ctrl-C ends everything"
    wait_until(lambda: url in output() or demo.poll() is not None, "the page", DEMO_SECONDS)
    assert demo.poll() is None, output()
    assert "<!doctype html>" in served_by(port).lower()
    demo.send_signal(signal.SIGINT)
    assert demo.wait(UP_SECONDS) == 0
    assert output().splitlines()[-1].endswith("stopping everything")
    assert stack.processes() == []
    assert not is_listening(port)
