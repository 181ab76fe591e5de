"""Other websites in the same browser cannot read the labels, and no request goes to another machine."""

import socket
from collections.abc import Iterator

import pytest

from tests.browser.served import Served
from tests.support import configuration
from tests.support.listening import addresses_of_listener, is_loopback

SECONDS = 30.0
ACCEPTED = "101"
REFUSED = "403"


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[socket.socket]:
    """A proxy, which every request to another machine would reach."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield listener


@pytest.fixture(scope="module")
def page(elsewhere: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A dashboard in an environment that would accept any website; its services do not exist."""
    directory = tmp_path_factory.mktemp("strangers")
    file = configuration.write(directory / "x.ini", configuration.sections("127.0.0.1:1", "http://127.0.0.1:1"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STREAMLIT_SERVER_ENABLE_CORS", "false")
        for name in ("http_proxy", "https_proxy"):
            patch.setenv(name, f"http://127.0.0.1:{elsewhere.getsockname()[1]}")
        with Served([str(file)], directory / "log") as served:
            yield served


def websocket_status(
    port: int, host: str, origin: str, path: str = "/_stcore/stream", cookie: str = "theme=light"
) -> str:
    """Request the page's websocket as a browser does for a website of this origin; return the status."""
    headers = {
        "Host": host,
        "Origin": origin,
        "Cookie": cookie,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return connection.recv(100).decode().split()[1]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_its_own_page_is_accepted(page: Served, name: str) -> None:
    assert websocket_status(page.port, f"{name}:{page.port}", f"http://{name}:{page.port}") == ACCEPTED


def test_another_website_is_refused(page: Served, elsewhere: socket.socket) -> None:
    assert websocket_status(page.port, f"127.0.0.1:{page.port}", "http://elsewhere.example") == REFUSED
    assert websocket_status(page.port, f"127.0.0.1:{page.port}", "null") == REFUSED
    with pytest.raises(BlockingIOError):
        elsewhere.accept()


def test_a_website_with_the_address_of_this_machine_is_refused(page: Served) -> None:
    host = f"elsewhere.example:{page.port}"
    assert websocket_status(page.port, host, f"http://{host}") == REFUSED


def test_other_machines_cannot_connect(page: Served) -> None:
    assert all(map(is_loopback, addresses_of_listener(page.port)))
