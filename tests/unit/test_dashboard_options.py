"""The command line of the dashboard: a mistake is reported before anything is started."""

import shlex
from pathlib import Path

import pytest
from streamlit.config import get_config_options

from dashboard import __main__ as program
from dashboard.options import parsed, parser
from tests.support import configuration
from tests.support.client import ROOT
from tests.support.pages import DASHBOARD, commands, rows


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A complete configuration."""
    return configuration.write(tmp_path / "x.ini", configuration.sections("127.0.0.1:1", "http://127.0.0.1:1"))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str]]]:
    """The arguments of each call of `serve`."""
    found: list[tuple[int, list[str]]] = []
    monkeypatch.setattr(program, "serve", lambda port, arguments: found.append((port, arguments)))
    return found


def test_settings_are_those_of_the_client(config: Path) -> None:
    settings, port = parsed([str(config), "-o", "mine", "--label-names", "a,b"])
    assert (settings.output, settings.label_names, settings.group, port) == ("mine", "a,b", "user_classifier", 8501)
    assert settings.topic == "transactions_aggregate"


def test_it_is_served_on_the_port(
    config: Path, served: list[tuple[int, list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(config), "--port", "8600"]
    assert program.main(arguments) == 0
    assert served == [(8600, arguments)]
    assert capsys.readouterr().out == "http://127.0.0.1:8600 shows the labels; Ctrl-C ends it\n"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--port", "70000"], "--port: a port is a whole number from 1 to 65535, got 70000"),
        (["--label-names", "a,,b"], "--label-names: the name of label 1 is empty, got 'a,,b'"),
        (["-o", "transactions_aggregate"], "-o and -t are both transactions_aggregate; each needs a topic of its own"),
    ],
)
def test_invalid_options(
    config: Path, served: list[object], capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert program.main([str(config), *more]) == 2
    assert capsys.readouterr().err == f"python -m dashboard: error: {message}\n"
    assert served == []


def test_a_file_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["nowhere.ini"]) == 2
    assert capsys.readouterr().err.startswith("python -m dashboard: error: nowhere.ini: no such file; ")


@pytest.mark.parametrize("command", commands("python -m dashboard"))
def test_commands_of_the_pages_can_be_parsed(command: str) -> None:
    arguments = parser().parse_args(shlex.split(command)[3:])
    assert (ROOT / arguments.config).is_file()


def test_options_are_those_of_the_table() -> None:
    table = {cells[0].strip("`").split()[0] for cells in rows(DASHBOARD.section("Start it"))} - {"Option", "---"}
    taken = {name for action in parser()._actions for name in action.option_strings}
    assert table == taken - {"-h", "--help"}


def test_the_page_is_for_this_machine_only() -> None:
    options = program.streamlit_options(8501)
    assert options["server.address"] == "127.0.0.1"
    assert options["browser.gatherUsageStats"] == "false"
    assert options["server.fileWatcherType"] == "none"


def test_streamlit_knows_its_options() -> None:
    """Also the oldest version that dashboard/requirements.txt allows."""
    assert {*program.streamlit_options(8501), "server.allowedHosts"} <= get_config_options().keys()
