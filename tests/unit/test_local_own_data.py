"""`make demo CSV=...` and `python -m local load`: options, error messages, and the last table."""

import argparse
import os
import subprocess
from pathlib import Path

import pytest

from local.__main__ import _parser, main
from local.demo import Client
from local.own_data.demo import last_table
from local.own_data.options import client_options, require_none
from local.services.artifacts import ROOT
from local.stack import LOCAL_CONFIGURATION
from tests.support.planted import of_another_account, shared_folder

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
    """Return the options of a demo."""
    return _parser().parse_args(["demo", *arguments])


def test_the_last_table_without_timestamps() -> None:
    assert last_table(LOG) == ["label  users", "0          1", "1          1", "all        2"]
    assert last_table("") == []


def test_the_options_for_the_client_are_those_that_were_given() -> None:
    assert client_options(parsed("--csv", "f")) == []
    given = parsed("--csv", "f", "--fit", "cells", "-k=auto", "--scale", "log")
    assert client_options(given) == ["-k", "auto", "--scale", "log", "--fit", "cells"]


@pytest.mark.parametrize(
    "option", ["--user", "--amount", "--delimiter", "--decimal", "--out", "-k", "--scale", "--fit"]
)
def test_an_option_for_a_file_without_a_file(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", option, ","]) == 1
    expected = f"python -m local demo: {option} needs a file of purchases: add --csv FILE, or CSV=FILE with make\n"
    assert capsys.readouterr().err == expected


def test_the_defaults_need_no_file() -> None:
    require_none(parsed())


@pytest.mark.parametrize("text", ["tabs", " ", '"', "\n"])
def test_an_invalid_delimiter_is_rejected(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed("--delimiter", text)
    assert caught.value.code == 2
    expected = f"argument --delimiter: a delimiter is one character, or tab, or space, got '{text}'\n"
    assert capsys.readouterr().err.endswith(expected)


def test_an_invalid_file_is_rejected_before_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "purchases.csv"
    out = tmp_path / "out"
    path.write_text("user,amount\nann,1\nbob,x\n", encoding="utf-8")
    directory = tmp_path / "demo"
    assert main(["demo", "--csv", str(path), "--out", str(out), "--directory", str(directory)]) == 1
    printed = capsys.readouterr()
    assert printed.out == f"{path}: the user is column user, the amount column amount; line 1 is its header\n"
    message = f"{path} line 3, column amount: 'x' is not a number; expected e.g. 12.50"
    assert printed.err == f"python -m local demo: {message}\n"
    assert not directory.exists()


def test_an_output_folder_that_cannot_be_created(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "purchases.csv"
    path.write_text("user,amount\nann,1\n", encoding="utf-8")
    assert main(["demo", "--csv", str(path), "--out", str(path)]) == 1
    message = f"{path}: cannot be created (File exists); choose another folder: --out or OUT="
    assert capsys.readouterr().err == f"python -m local demo: {message}\n"


@pytest.mark.parametrize("name", ["labels.csv", "clustering.png"])
def test_a_link_that_another_account_has_planted_in_the_output_folder(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "purchases.csv"
    path.write_text("user,amount\nann,1\n", encoding="utf-8")
    out = shared_folder(tmp_path / "shared")
    (out / name).symlink_to(path)
    of_another_account(out / name, monkeypatch)
    assert main(["demo", "--csv", str(path), "--out", str(out), "--directory", str(tmp_path / "d")]) == 1
    begins = f"python -m local demo: {out / name}: '{name}' is a link of another account"
    assert capsys.readouterr().err.startswith(begins)


def test_an_option_that_the_client_rejects_is_reported_before_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "purchases.csv"
    path.write_text("user,amount\nann,1\n", encoding="utf-8")
    options = ["-k", "three", "--out", str(tmp_path), "--directory", str(tmp_path / "d")]
    assert main(["demo", "--csv", str(path), *options]) == 1
    message = capsys.readouterr().err
    assert message.startswith("python -m local demo: user_classifier.py: error: argument -k: ")
    assert message.count("\n") == 1


def test_a_load_needs_a_running_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "purchases.csv", "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "python -m local load: nothing is running; to start: make up\n"


def test_the_clients_command_as_a_user_types_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    client = Client(tmp_path, LOCAL_CONFIGURATION, ["--plot", str(tmp_path / "my clusters.png"), "-k", "4"])
    assert str(client) == "python user_classifier.py ./configurations/local.ini --plot 'my clusters.png' -k 4"
    assert client.command()[-4:] == ["--plot", str(tmp_path / "my clusters.png"), "-k", "4"]


def command_of_make(*settings: str) -> str:
    """Return the command that `make demo` runs with these settings; as in every shell, USER is set."""
    command = ["make", "--no-print-directory", "-n", "-o", ".local/artifacts/verified", "demo", *settings]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env={"USER": "ann", "PATH": os.environ["PATH"]}
    )
    *_, last = done.stdout.splitlines()
    return " ".join(last.split())


def test_make_passes_on_the_settings_of_its_command_line() -> None:
    """As shell variables, so that the shell does not interpret their characters."""
    assert command_of_make() == ".venv/bin/python -m local demo"
    assert command_of_make('CSV=ann\'s "file".csv') == '.venv/bin/python -m local demo --csv="$CSV"'
    names = ["CSV", "USER", "AMOUNT", "DELIMITER", "DECIMAL", "OUT", "K", "SCALE", "FIT"]
    options = ["--csv", "--user", "--amount", "--delimiter", "--decimal", "--out", "-k", "--scale", "--fit"]
    arguments = " ".join(f'{option}="${name}"' for option, name in zip(options, names, strict=True))
    assert command_of_make(*(f"{name}=x" for name in names)) == f".venv/bin/python -m local demo {arguments}"
