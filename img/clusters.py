"""A plot of the clusters in the demo's stream, drawn by `user_classifier.py --plot`."""

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
STOP_SECONDS = 60.0
NAMES = "stingy,standard,spendthrift"


def draw_clusters(pipeline: Pipeline) -> Path:
    """Run the client for a while and keep the plot that it draws when it stops; return its path."""
    drawn = pipeline.directory / "clustering.svg"
    path = IMG / "clustering.svg"
    pipeline.start_stream(ROWS_PER_SECOND)
    pipeline.run_statements(1, 7)
    command = [sys.executable, "user_classifier.py", str(pipeline.configuration)]
    command += ["--plot", str(drawn), "--label-names", NAMES]
    with (pipeline.directory / "user_classifier.log").open("wb") as log:
        client = subprocess.Popen(command, cwd=ROOT, stderr=log)
        time.sleep(STREAM_SECONDS)
        client.send_signal(signal.SIGINT)
        if client.wait(STOP_SECONDS) != 0:
            raise RuntimeError(f"user_classifier.py failed; see {log.name}")
    shutil.copyfile(drawn, path)
    return path
