"""A user_id with line breaks, escape sequences or invisible characters begins no line of its own, in any output."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.changelog import Change, Op, Placed, Row
from tests.support.client import ROOT, SCRIPT, TIMEOUT_S
from tests.support.pipeline import Pipeline

USER_IDS = (
    *("a\nERROR x", "b\r\nERROR x", "c\rERROR x", "d\x1b[31mred", "e\u2028ERROR x", "f\u2029ERROR x", "g\x85ERROR x"),
    *("h\x0b\x0cERROR x", "i\u202eERROR x", "j\0ERROR x", "\nERROR x", 'k",9,9,9\n"x', "\x1b]0;title\x07", "l\x9b31m"),
)
ROWS = [Row(user_id, 10.0 * number, number) for number, user_id in enumerate(USER_IDS, 1)]
# Python's split also breaks at these, as terminals and log collectors do.
BREAKS = re.compile("[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) |user_classifier\.py: error: ")


def run(pipeline: Pipeline, *options: str) -> tuple[int, str, str]:
    """Run the client; return exit code, standard output and standard error, their line breaks as they are."""
    command = [sys.executable, str(SCRIPT), *pipeline.arguments(*options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=TIMEOUT_S, check=False)
    out, err = done.stdout.decode(), done.stderr.decode()
    for text in (out, err):
        assert BREAKS.search(text) is None
        assert CONTROLS.search(text) is None
    assert all(not line.startswith("ERROR x") for line in out.split("\n"))
    if "json" not in options:
        assert all(LOGGED.match(line) for line in err.split("\n")[:-1]), err
    return done.returncode, out, err


@pytest.fixture
def written(pipeline: Pipeline) -> Pipeline:
    """A pipeline with these users, of which each has two rows."""
    changes = [Change(Op.INSERT, row) for row in ROWS]
    changes += [Change(Op.UPDATE_AFTER, row._replace(total_amount=row.total_amount + 1)) for row in ROWS]
    pipeline.write([Placed(0, change) for change in changes])
    return pipeline


def test_in_every_output(written: Pipeline, tmp_path: Path) -> None:
    code, out, _ = run(written, "--dry-run")
    assert (code, out.count("ERROR x")) == (0, sum("ERROR x" in user_id for user_id in USER_IDS))
    assert run(written, "--explore-k", "--plot", str(tmp_path / "k.svg"))[0] == 0
    code, _, err = run(written, "--until-end", "--summary", "--plot", str(tmp_path / "c.svg"))
    assert code == 0
    assert r"(\nERROR x for example) have more than one row" in err
    assert sorted(written.labelling()) == sorted(USER_IDS)
    code, _, err = run(written, "--until-end", "--rebuild", "--log-format", "json", "--log-level", "DEBUG")
    assert code == 0
    assert all(json.loads(line)["message"] for line in err.split("\n")[:-1])
    assert run(written, "--check")[0] == 1  # users with more than one row
    assert all("ERROR x" not in (tmp_path / name).read_text() for name in ("k.svg", "c.svg"))


def test_in_an_export(written: Pipeline, tmp_path: Path) -> None:
    run(written, "--until-end")
    path = tmp_path / "labels.csv"
    code, out, _ = run(written, "--export", str(path))
    assert (code, out) == (0, "")
    with path.open(newline="") as file:
        names = [row[0] for row in csv.reader(file)][1:]
    assert sorted(name.removeprefix("'") for name in names) == sorted(USER_IDS)


def test_in_an_error(pipeline: Pipeline) -> None:
    rows = [Row("a\nERROR x\x1b[31m", float(amount), amount) for amount in (1, 2)]
    records = pipeline.outgoing([Placed(0, Change(Op.INSERT, row)) for row in rows])
    pipeline.topics.write(pipeline.source, [record._replace(headers=[]) for record in records])
    code, _, err = run(pipeline, "--until-end")
    assert code == 1
    assert r"user_id 'a\nERROR x\x1b[31m' has 2 rows and no record has an op header" in err


def test_in_the_key_of_a_bad_record(pipeline: Pipeline) -> None:
    (good,) = pipeline.outgoing([Placed(0, Change(Op.INSERT, ROWS[0]))])
    pipeline.topics.write(pipeline.source, [good._replace(key=b"a\nERROR x\xff\x1b", value=None)])
    code, _, err = run(pipeline, "--until-end", "--changelog-mode", "upsert")
    assert code == 1
    assert r"key b'a\nERROR x\xff\x1b' does not name a user_id" in err
