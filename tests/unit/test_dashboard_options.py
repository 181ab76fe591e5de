"""The command line of the dashboard: a mistake is reported before anything is started."""

import shlex
from pathlib import Path

import pytest
from streamlit.config import get_config_options

from dashboard import __main__ as program
from dashboard.options import Address, parsed, parser
from tests.support import configuration
from tests.support.client import ROOT
from tests.support.pages import DASHBOARD, commands, rows


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A complete configuration."""
    return configuration.write(tmp_path / "x.ini", configuration.sections("127.0.0.1:1", "http://127.0.0.1:1"))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Address, list[str]]]:
    """The arguments of each call of `serve`."""
    found: list[tuple[Address, list[str]]] = []
    monkeypatch.setattr(program, "serve", lambda address, arguments: found.append((address, arguments)))
    return found


def test_settings_are_those_of_the_client(config: Path) -> None:
    settings, address = parsed([str(config), "-o", "mine", "--label-names", "a,b"])
    assert (settings.output, settings.label_names, settings.group) == ("mine", "a,b", "user_classifier")
    assert address == ("127.0.0.1", 8501, [], "")
    assert settings.topic == "transactions_aggregate"


def test_it_is_served_on_the_port(
    config: Path, served: list[tuple[Address, list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(config), "--port", "8600"]
    assert program.main(arguments) == 0
    assert served == [(Address("127.0.0.1", 8600, [], ""), arguments)]
    assert capsys.readouterr() == ("http://127.0.0.1:8600 shows the labels; Ctrl-C ends it\n", "")


PROXY = ["--allowed-origin", "https://labels.example.com"]


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ([*PROXY, "--base-path", "/labels/"], "https://labels.example.com/labels"),
        (["--allowed-origin", "https://Labels.example.com:443/"], "https://labels.example.com"),
        (["--allowed-origin", "http://labels.example.com:8080"], "http://labels.example.com:8080"),
        (["--allowed-origin", "https://[fd00::1]:8443"], "https://[fd00::1]:8443"),
        (["--host", "::1"], "http://[::1]:8600"),
        (["--host", "localhost", "--base-path", "a/b"], "http://localhost:8600/a/b"),
        (["--base-path", "/"], "http://127.0.0.1:8600"),
    ],
)
def test_its_address_in_the_browser(
    more: list[str],
    url: str,
    config: Path,
    served: list[object],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert program.main([str(config), "--port", "8600", *more]) == 0
    assert capsys.readouterr().out == f"{url} shows the labels; Ctrl-C ends it\n"
    assert caplog.text == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_warning_where_other_machines_can_connect(
    host: str, config: Path, served: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    assert program.main([str(config), "--host", host, *PROXY]) == 0
    assert len(served) == 1
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        f"the page has no password, and other machines can connect to {host} port 8501: let only a reverse proxy"
        " connect that asks who it is, see docs/dashboard.md, Behind a reverse proxy"
    )


def test_host_names_of_requests() -> None:
    own = ["127.0.0.1", "localhost"]
    assert Address("127.0.0.1", 1, [], "").hosts == own
    assert Address("0.0.0.0", 1, ["https://a.example", "http://a.example:8", "https://[::2]"], "").hosts == [
        *own,
        "a.example",
        "::2",
    ]
    assert Address("10.0.0.5", 1, [], "").hosts == [*own, "10.0.0.5"]


@pytest.mark.parametrize(
    "text",
    [
        *("*", "", "labels.example.com", "https://", "https://*", "https://a.example/labels", "https://u:p@a.example"),
        *("https://a.example?x", "ftp://a.example", "https://a.example:x", "https://a b", "null", "https://[::1"),
        "https://a.example#x",
    ],
)
def test_origins_that_no_browser_sends(text: str, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parsed([str(config), "--allowed-origin", text])
    assert stopped.value.code == 2
    message = "must be the beginning of an address in the browser, such as https://labels.example.com, got"
    assert f"argument --allowed-origin: {message} {text!r}" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["/a b", "/../a", "/a?b", "a//b", "/é"])
def test_base_paths_that_are_refused(text: str, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed([str(config), "--base-path", text])
    assert f"argument --base-path: must be a path such as /labels, got {text!r}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--port", "70000"], "--port: a port is a whole number from 1 to 65535, got 70000"),
        (["--label-names", "a,,b"], "--label-names: the name of label 1 is empty, got 'a,,b'"),
        (
            ["--host", "0.0.0.0"],
            "--host 0.0.0.0: the page refuses requests for unknown host names; add the address of the proxy in the"
            " browser: --allowed-origin https://...",
        ),
        (
            ["--host", "192.0.2.1"],
            "--host 192.0.2.1: Cannot assign requested address; choose an address of this machine, 0.0.0.0 for all",
        ),
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
    options = program.streamlit_options(Address("127.0.0.1", 8501, [], ""))
    assert options["server.address"] == "127.0.0.1"
    assert options["browser.gatherUsageStats"] == "false"
    assert options["server.fileWatcherType"] == "none"


def test_streamlit_knows_its_options() -> None:
    """Also the oldest version that dashboard/requirements.txt allows."""
    names = {*program.streamlit_options(Address("127.0.0.1", 8501, [], ""))}
    assert names | {"server.allowedHosts", "server.corsAllowedOrigins"} <= get_config_options().keys()
