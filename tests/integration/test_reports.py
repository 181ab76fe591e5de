"""The reports of a real run."""

import contextlib
import json
import re
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from local.services.process import free_port
from tests.support import client, terminal
from tests.support.changelog import Change, Op, Placed, Row, aggregation, place_by_hash
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

N_USERS = 12
N_CALLERS = 1000
FILES = 256
"""Open files that a client may have. It has some 50 without callers."""


def test_plot_summary_and_json_log(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.write(place_by_hash(aggregation(seed=1, n_users=N_USERS, n_transactions=100), 1))
    picture = tmp_path / "clusters.png"
    shown = ["--plot", str(picture), "--summary", "--label-names", "low,middle,high", "--log-format", "json"]
    finished = client.run(pipeline.arguments("--until-end", *shown))
    assert finished.code == 0, finished.output
    messages = [json.loads(line)["message"] for line in finished.stderr.splitlines()]
    assert any(re.match("2 high ", message) for message in messages), messages
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_metrics_are_served_during_a_run(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.write(place_by_hash(aggregation(seed=1, n_users=N_USERS, n_transactions=100), 1))
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with client.Client(pipeline.arguments("--metrics-port", str(port)), tmp_path / "log") as running:
        running.wait_for_output(" changes, fit ")
        wait_until(lambda: "user_classifier_users " in requests.get(f"{address}/metrics", timeout=10).text, "a step")
        page = requests.get(f"{address}/metrics", timeout=10).text
        assert f"user_classifier_users {float(len(pipeline.labelling()))}\n" in page
        assert 'user_classifier_lag_records{partition="0"} 0.0\n' in page
        assert requests.get(f"{address}/health", timeout=10).status_code == 200
        assert running.stop() == 0


def test_a_metrics_port_in_use(pipeline: Pipeline) -> None:
    """What supervises the client starts it again after exit code 1, and not after 2."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        finished = client.run(pipeline.arguments("--metrics-port", str(port)))
    assert (finished.code, finished.stderr) == (
        1,
        f"user_classifier.py: error: cannot serve metrics at 127.0.0.1:{port} (Address already in use);"
        " choose another port with --metrics-port\n",
    )


def test_metrics_at_an_address_of_another_machine(pipeline: Pipeline) -> None:
    finished = client.run(pipeline.arguments("--metrics-port", "9400", "--metrics-host", "192.0.2.1"))
    assert (finished.code, finished.stderr) == (
        2,
        "user_classifier.py: error: cannot serve metrics at 192.0.2.1:9400 (Cannot assign requested address);"
        " choose an address of this machine with --metrics-host, 0.0.0.0 for all\n",
    )


def test_slow_callers_of_the_metrics(pipeline: Pipeline, tmp_path: Path) -> None:
    """A thousand callers that send a byte now and then: others get their pages, and labels are written."""
    changes = aggregation(seed=1, n_users=N_USERS, n_transactions=100)
    pipeline.write(place_by_hash(changes[:50], 1))
    port = free_port()
    options = ["--metrics-port", str(port), "--batch-interval", "0.2"]
    with client.Client(pipeline.arguments(*options), tmp_path / "log") as running, slow_callers(port) as callers:
        running.wait_for_output(" changes, fit ")
        running.limit_open_files(FILES)
        callers.begin()
        pipeline.write(place_by_hash(changes[50:], 1))
        wait_until(lambda: pipeline.lag() == 0, "the labels")
        for path in ("health", "metrics"):
            assert requests.get(f"http://127.0.0.1:{port}/{path}", timeout=30).status_code == 200
        wait_until(lambda: callers.n_cut_off > N_CALLERS / 2, "slow callers to be cut off")
        assert running.stop() == 0, running.output
    assert "Too many open files" not in running.output


class SlowCallers:
    """Connections of which each sends a byte of a request now and then, and that are made again once cut off."""

    def __init__(self, port: int) -> None:
        self.n_cut_off = 0
        self._port = port
        self._ended = threading.Event()
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._drip)

    def begin(self) -> None:
        """Connect, and send bytes from a thread."""
        for _ in range(N_CALLERS):
            self._connections.append(self._connect())
            time.sleep(0.002)  # a server may let no more than five wait
        self._thread.start()

    def end(self) -> None:
        """Close all connections."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        for each in self._connections:
            each.close()

    def _connect(self) -> socket.socket:
        connection = socket.socket()
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            connection.connect(("127.0.0.1", self._port))
        return connection

    def _drip(self) -> None:
        while not self._ended.wait(1.0):
            for index, each in enumerate(self._connections):
                try:
                    each.send(b"G")
                except BlockingIOError:
                    continue
                except ConnectionError:
                    each.close()
                    self.n_cut_off += 1
                    self._connections[index] = self._connect()


@contextlib.contextmanager
def slow_callers(port: int) -> Iterator[SlowCallers]:
    """A thousand slow callers of a port, once they begin."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit, 2 * N_CALLERS), most))
    callers = SlowCallers(port)
    try:
        yield callers
    finally:
        callers.end()
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))


def test_a_report_that_cannot_be_created(pipeline: Pipeline) -> None:
    finished = client.run(pipeline.arguments("--label-names", "low,high"))
    assert (finished.code, finished.stderr) == (
        2,
        "user_classifier.py: error: --label-names: 3 clusters need 3 names, separated by commas, got 2: 'low,high'\n",
    )


def test_a_bar_while_catching_up_on_a_terminal(pipeline: Pipeline) -> None:
    changes = [Change(Op.INSERT, Row(f"user {number}", 1.0 + number, 1)) for number in range(30_000)]
    pipeline.write([Placed(0, change) for change in changes])
    code, written = terminal.run(pipeline.arguments("--batch-size", "3000", "--until-end"))
    assert code == 0, written
    bars = re.findall(r"catching up +(\d+)%\|.*?\| (\S+)/30.0k records, \S+/s, \S+ left", written)
    assert len(bars) > 3, written
    assert [int(percent) for percent, _ in bars] == sorted(int(percent) for percent, _ in bars)
    line = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO \S.*|")
    garbled = [shown for shown in terminal.screen(written.replace("\r\n", "\n")) if not line.fullmatch(shown)]
    assert garbled == []
    assert written.count("3000 records, ") == 10


def test_no_bar_in_a_log_of_json(pipeline: Pipeline) -> None:
    changes = [Change(Op.INSERT, Row(f"user {number}", 1.0 + number, 1)) for number in range(30_000)]
    pipeline.write([Placed(0, change) for change in changes])
    json_log = ["--log-format", "json"]
    code, written = terminal.run(pipeline.arguments("--batch-size", "3000", "--until-end", *json_log))
    assert code == 0, written
    assert [json.loads(line)["level"] for line in written.splitlines()].count("INFO") > 10


def test_no_bar_in_a_file(pipeline: Pipeline) -> None:
    changes = [Change(Op.INSERT, Row(f"user {number}", 1.0 + number, 1)) for number in range(30_000)]
    pipeline.write([Placed(0, change) for change in changes])
    finished = client.run(pipeline.arguments("--batch-size", "3000", "--until-end"))
    assert finished.code == 0
    assert "catching up" not in finished.output
    assert "\r" not in finished.output
