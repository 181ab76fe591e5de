"""`make demo CSV=...` and `python -m local load`: what is passed on, what is refused, what is shown."""

import argparse
import os
import subprocess
from pathlib import Path

import pytest

from local.__main__ import _parser, main
from local.demo import Client
from local.own_data.demo import last_table
from local.own_data.options import passed_on, require_none
from local.services.artifacts import ROOT
from local.stack import LOCAL_CONFIGURATION

LOG = """\
2026-11-26 02:28:57,943 INFO transactions_aggregate: 0 users restored from user_labeling
2026-11-26 02:28:58,919 INFO label  users
2026-11-26 02:28:58,920 INFO 0          1
2026-11-26 02:28:58,920 INFO all        1
2026-11-26 02:28:59,129 INFO 10 records, 2 users, 2 changes, fit 32 ms, commit 53 ms, lag 0
2026-11-26 02:29:02,246 INFO stopped; 2 users, offsets committed
2026-11-26 02:29:02,919 INFO label  users
2026-11-26 02:29:02,920 INFO 0          1
2026-11-26 02:29:02,920 INFO 1          1
2026-11-26 02:29:02,920 INFO all        2
2026-11-26 02:29:02,920 INFO since the last summary: no user moved, 1 new
"""


def parsed(*arguments: str) -> argparse.Namespace:
    """The options of a demo."""
    return _parser().parse_args(["demo", *arguments])


def test_the_last_table_is_shown_without_times() -> None:
    assert last_table(LOG) == ["label  users", "0          1", "1          1", "all        2"]
    assert last_table("") == []


def test_what_is_for_the_client_is_passed_on_if_it_is_given() -> None:
    assert passed_on(parsed("--csv", "f")) == []
    given = parsed("--csv", "f", "--fit", "cells", "-k=auto", "--scale", "log")
    assert passed_on(given) == ["-k", "auto", "--scale", "log", "--fit", "cells"]


@pytest.mark.parametrize(
    "option", ["--user", "--amount", "--delimiter", "--decimal", "--out", "-k", "--scale", "--fit"]
)
def test_an_option_of_own_data_without_a_file(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", option, ","]) == 1
    told = f"python -m local demo: {option} is for purchases of your own: add --csv FILE, or CSV=FILE with make\n"
    assert capsys.readouterr().err == told


def test_none_is_said_by_default() -> None:
    require_none(parsed())


@pytest.mark.parametrize("text", ["tabs", " ", '"', "\n"])
def test_no_delimiter(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed("--delimiter", text)
    assert caught.value.code == 2
    told = f"argument --delimiter: a delimiter is one character, or tab, or space, got '{text}'\n"
    assert capsys.readouterr().err.endswith(told)


def test_a_bad_file_is_told_before_anything_is_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "purchases.csv", tmp_path / "out"
    path.write_text("user,amount\nann,1\nbob,x\n", encoding="utf-8")
    directory = tmp_path / "demo"
    assert main(["demo", "--csv", str(path), "--out", str(out), "--directory", str(directory)]) == 1
    printed = capsys.readouterr()
    assert printed.out == f"{path}: the user is column user, the amount column amount; line 1 is its header\n"
    told = f"{path} line 3, column amount: 'x' is no number; expected e.g. 12.50"
    assert printed.err == f"python -m local demo: {told}\n"
    assert not directory.exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "purchases.csv"
    path.write_text("user,amount\nann,1\n", encoding="utf-8")
    assert main(["demo", "--csv", str(path), "--out", str(path)]) == 1
    told = f"{path}: cannot be made (File exists); choose another folder: --out or OUT="
    assert capsys.readouterr().err == f"python -m local demo: {told}\n"


def test_what_the_client_does_not_take_is_told_before_anything_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "purchases.csv"
    path.write_text("user,amount\nann,1\n", encoding="utf-8")
    assert (
        main(["demo", "--csv", str(path), "-k", "three", "--out", str(tmp_path), "--directory", str(tmp_path / "d")])
        == 1
    )
    said = capsys.readouterr().err
    assert said.startswith("python -m local demo: user_classifier.py: error: argument -k: ")
    assert said.count("\n") == 1


def test_a_load_needs_a_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "purchases.csv", "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "python -m local load: nothing is running; to start: make up\n"


def test_the_client_is_shown_as_its_user_types_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    client = Client(tmp_path, LOCAL_CONFIGURATION, ["--plot", str(tmp_path / "my clusters.png"), "-k", "4"])
    assert str(client) == "python user_classifier.py ./configurations/local.ini --plot 'my clusters.png' -k 4"
    assert client.command()[-4:] == ["--plot", str(tmp_path / "my clusters.png"), "-k", "4"]


def made(*settings: str) -> str:
    """What `make demo` runs with these settings; of the environment, USER is set as in every shell."""
    command = ["make", "--no-print-directory", "-n", "-o", ".local/artifacts/verified", "demo", *settings]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env={"USER": "ann", "PATH": os.environ["PATH"]}
    )
    *_, last = done.stdout.splitlines()
    return " ".join(last.split())


def test_make_passes_on_what_stands_on_its_command_line() -> None:
    """As the shell's variables, so that no letter of a name is taken for the shell's own."""
    assert made() == ".venv/bin/python -m local demo"
    assert made('CSV=ann\'s "file".csv') == '.venv/bin/python -m local demo --csv="$CSV"'
    everything = ["CSV", "USER", "AMOUNT", "DELIMITER", "DECIMAL", "OUT", "K", "SCALE", "FIT"]
    options = ["--csv", "--user", "--amount", "--delimiter", "--decimal", "--out", "-k", "--scale", "--fit"]
    told = " ".join(f'{option}="${name}"' for option, name in zip(options, everything, strict=True))
    assert made(*(f"{name}=x" for name in everything)) == f".venv/bin/python -m local demo {told}"
