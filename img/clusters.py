"""Plots of the clusters in the demo's stream, drawn by `user_classifier.py --plot`."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from img.paths import IMG
from img.pipeline import Pipeline
from local.services.artifacts import ROOT

ROWS_PER_SECOND = 20
STREAM_SECONDS = 30.0
ACCOUNTS_SECONDS = 60.0
STOP_SECONDS = 60.0
NAMES = "stingy,standard,spendthrift"
ACCOUNT_OPTIONS = (
    *("-t", "account_activity", "-o", "account_labeling", "-g", "account_activity"),
    *("--features", "num_failed_logins,num_logins,num_bytes,num_hosts", "--scale", "log-standard"),
    *("--plot-features", "num_failed_logins,num_bytes"),
)


def draw_clusters(pipeline: Pipeline) -> Path:
    """Plot the users of the pipeline; return the path."""
    pipeline.start_stream(ROWS_PER_SECOND)
    pipeline.run_statements(1, 7)
    return _draw(pipeline, IMG / "clustering.svg", STREAM_SECONDS, "--label-names", NAMES)


def draw_accounts(pipeline: Pipeline) -> Path:
    """Plot the accounts of docs/features.md; return the path."""
    pipeline.start_stream(ROWS_PER_SECOND)
    pipeline.run_statements(1, 7, "accounts")
    return _draw(pipeline, IMG / "accounts.svg", ACCOUNTS_SECONDS, *ACCOUNT_OPTIONS)


def _draw(pipeline: Pipeline, path: Path, seconds: float, *options: str) -> Path:
    """Run the client for some seconds and keep the plot that it draws when it stops."""
    drawn = pipeline.directory / path.name
    command = [sys.executable, "user_classifier.py", str(pipeline.configuration), *options, "--plot", str(drawn)]
    with (pipeline.directory / "user_classifier.log").open("wb") as log:
        client = subprocess.Popen(command, cwd=ROOT, stderr=log)
        time.sleep(seconds)
        client.send_signal(signal.SIGINT)
        if client.wait(STOP_SECONDS) != 0:
            raise RuntimeError(f"user_classifier.py failed; see {log.name}")
    shutil.copyfile(drawn, path)
    return path
