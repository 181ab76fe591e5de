"""Pages of somebody else, which the same browser may show, do not get at the labels; and nobody else is asked."""

import socket
from collections.abc import Iterator

import pytest

from tests.browser.served import Served
from tests.support import configuration
from tests.support.listening import addresses_of_listener, is_loopback

SECONDS = 30.0
LET_IN, REFUSED = "101", "403"


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[socket.socket]:
    """What stands for every other machine: the proxy by which they would be asked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield listener


@pytest.fixture(scope="module")
def page(elsewhere: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A page, and an environment that would let everybody in; nothing is there to be read."""
    directory = tmp_path_factory.mktemp("strangers")
    file = configuration.write(directory / "x.ini", configuration.sections("127.0.0.1:1", "http://127.0.0.1:1"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STREAMLIT_SERVER_ENABLE_CORS", "false")
        for name in ("http_proxy", "https_proxy"):
            patch.setenv(name, f"http://127.0.0.1:{elsewhere.getsockname()[1]}")
        with Served([str(file)], directory / "log") as served:
            yield served


def knock(port: int, host: str, origin: str) -> str:
    """Ask for what keeps the page up to date, as a browser does for a page from `origin`; the status."""
    told = {
        "Host": host,
        "Origin": origin,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }
    lines = ["GET /_stcore/stream HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", ""]
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return connection.recv(100).decode().split()[1]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_its_own_page_is_let_in(page: Served, name: str) -> None:
    assert knock(page.port, f"{name}:{page.port}", f"http://{name}:{page.port}") == LET_IN


def test_a_page_of_somebody_else_is_not(page: Served, elsewhere: socket.socket) -> None:
    assert knock(page.port, f"127.0.0.1:{page.port}", "http://elsewhere.example") == REFUSED
    assert knock(page.port, f"127.0.0.1:{page.port}", "null") == REFUSED
    with pytest.raises(BlockingIOError):
        elsewhere.accept()


def test_one_at_a_name_that_leads_here_is_not(page: Served) -> None:
    host = f"elsewhere.example:{page.port}"
    assert knock(page.port, host, f"http://{host}") == REFUSED


def test_other_machines_cannot_connect(page: Served) -> None:
    assert all(map(is_loopback, addresses_of_listener(page.port)))
