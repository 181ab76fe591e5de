"""The page behind a reverse proxy that asks who it is, with another host name and a path of its own."""

import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.reverse_proxy import COOKIE, ReverseProxy, reverse_proxy
from tests.browser.served import Seen, Served, csv_rows
from tests.browser.test_other_websites import ACCEPTED, REFUSED, websocket_status
from tests.support import inside
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.listening import addresses_of_listener
from tests.support.pipeline import Pipeline, Services

BASE_PATH = "/labels"
SOCKET = f"{BASE_PATH}/_stcore/stream"
HOST = "labels.localhost"  # a name that browsers resolve to this machine, and that the page does not know by itself


class Behind(NamedTuple):
    """A page and its proxy."""

    page: Served
    proxy: ReverseProxy

    @property
    def origin(self) -> str:
        """The address of the proxy in the browser."""
        return f"http://{HOST}:{self.proxy.port}"


@pytest.fixture(scope="module")
def behind(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """A page with labels behind a proxy."""
    directory = tmp_path_factory.mktemp("behind")
    pipeline = Pipeline(services, directory, "behind")
    pipeline.write([Placed(0, Change(Op.INSERT, Row(name, 1.0, 1))) for name in ("ann", "bob")])
    inside.run_to_end(pipeline.arguments())
    listener = socket.create_server(("127.0.0.1", 0))
    origin = f"http://{HOST}:{listener.getsockname()[1]}"
    options = ["--host", "0.0.0.0", "--allowed-origin", origin, "--base-path", BASE_PATH]
    arguments = [str(pipeline.file), "-o", pipeline.output, *options]
    with (
        Served(arguments, directory / "page.log") as page,
        reverse_proxy(page.port, listener, BASE_PATH) as proxy,
    ):
        yield Behind(page, proxy)


def test_the_page_after_signing_in(behind: Behind, browser: BrowserContext) -> None:
    """Websocket, files and downloads pass through the proxy."""
    page = browser.new_page()
    seen = Seen(page)
    page.goto(f"{behind.origin}{BASE_PATH}/")
    page.get_by_role("link", name="Sign in").click()
    seen.wait_for_users(2)
    assert {row[0] for row in csv_rows(seen.saved())} == {"ann", "bob"}
    assert page.url.startswith(f"{behind.origin}{BASE_PATH}")
    page.close()


def test_who_has_not_signed_in_sees_nothing(behind: Behind) -> None:
    own = f"{HOST}:{behind.proxy.port}"
    assert websocket_status(behind.proxy.port, own, behind.origin, SOCKET) == REFUSED
    assert websocket_status(behind.proxy.port, own, behind.origin, SOCKET, COOKIE) == ACCEPTED


def test_another_website_is_refused(behind: Behind) -> None:
    """With the cookie, too: the browser may send it for another website of the same company."""
    own = f"{HOST}:{behind.proxy.port}"
    for origin in ("https://elsewhere.example", "null", "https://labels.example.com"):
        assert websocket_status(behind.proxy.port, own, origin, SOCKET, COOKIE) == REFUSED


@pytest.mark.parametrize("proxy_sends", ["127.0.0.1:8501", "localhost"])
def test_a_proxy_that_sends_its_own_host_name(behind: Behind, proxy_sends: str) -> None:
    """Without the browser's Host header the origin decides."""
    assert websocket_status(behind.page.port, proxy_sends, behind.origin, SOCKET) == ACCEPTED
    assert websocket_status(behind.page.port, proxy_sends, "https://elsewhere.example", SOCKET) == REFUSED


def test_a_name_that_resolves_to_this_machine_is_refused(behind: Behind) -> None:
    host = f"elsewhere.example:{behind.page.port}"
    assert websocket_status(behind.page.port, host, f"http://{host}", SOCKET) == REFUSED


def test_it_warns_that_other_machines_can_connect(behind: Behind) -> None:
    assert addresses_of_listener(behind.page.port) == {"0.0.0.0"}
    assert behind.page.output.startswith(f"{behind.origin}{BASE_PATH} shows the labels; Ctrl-C ends it\n")
    assert "WARNING the page has no password, and other machines can connect to 0.0.0.0" in behind.page.output
