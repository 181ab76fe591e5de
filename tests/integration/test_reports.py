"""The reports of a real run."""

import json
import re
from pathlib import Path

import requests

from local.services.process import free_port
from tests.support import client, terminal
from tests.support.changelog import Change, Op, Placed, Row, aggregation, place_by_hash
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

N_USERS = 12


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


def test_no_bar_in_a_file(pipeline: Pipeline) -> None:
    changes = [Change(Op.INSERT, Row(f"user {number}", 1.0 + number, 1)) for number in range(30_000)]
    pipeline.write([Placed(0, change) for change in changes])
    finished = client.run(pipeline.arguments("--batch-size", "3000", "--until-end"))
    assert finished.code == 0
    assert "catching up" not in finished.output
    assert "\r" not in finished.output
