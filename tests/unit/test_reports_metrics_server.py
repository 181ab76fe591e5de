"""The server of the metrics: what it answers, who may hold connections, and addresses that cannot be used."""

import contextlib
import itertools
import logging
import re
import resource
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from classifier.errors import CannotListen, ConfigError
from classifier.reports import metrics_server
from classifier.reports.metrics_server import (
    MAX_CALLERS,
    MAX_HEAD_BYTES,
    OUT_OF_RESOURCES_SECONDS,
    MetricsServer,
    Response,
)
from tests.support.waiting import wait_until

PAGE = b"body of the page\n"
TIMEOUT_S = 30.0
HEALTH = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"


def page(path: str, accept: str) -> Response:
    """One page at every path, with what was asked for in its type."""
    return 200, f"text/plain; path={path}; accept={accept}", PAGE


@contextlib.contextmanager
def served(host: str = "127.0.0.1") -> Iterator[MetricsServer]:
    """A server on a free port."""
    server = MetricsServer(host, 0, page)
    try:
        yield server
    finally:
        server.close()


def connect(server: MetricsServer) -> socket.socket:
    """A connection to the server."""
    return socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S)


def exchange(server: MetricsServer, request: bytes) -> bytes:
    """The whole response to a request."""
    with connect(server) as caller:
        caller.sendall(request)
        return b"".join(iter(lambda: caller.recv(100_000), b""))


def status(response: bytes) -> int:
    """The status of a response."""
    return int(response.split(b" ", 2)[1])


def is_closed(caller: socket.socket) -> bool:
    """Whether the server has closed a connection."""
    caller.setblocking(False)
    try:
        return caller.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


# Requests and responses


def test_a_response() -> None:
    with served() as server:
        head, _, body = exchange(server, HEALTH).partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"Server: user_classifier",
        b"Content-Type: text/plain; path=/health; accept=",
        b"Content-Length: 17",
        b"Connection: close",
    ], "no version of Python or of a library"
    assert body == PAGE


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.0\n\n", 200),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", 200),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        (b"\0\1\2 HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics\r\n\r\n", 400),
        (b"GET  /metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/2.0\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),  # as TLS begins
        (b"\r\n\r\n", 400),
        (b"GET /" + b"x" * MAX_HEAD_BYTES, 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * MAX_HEAD_BYTES, 431),
    ],
)
def test_statuses(request_: bytes, wanted: int) -> None:
    with served() as server:
        with connect(server) as caller:
            caller.sendall(request_)
            assert status(caller.recv(20)) == wanted
        assert status(exchange(server, HEALTH)) == 200


def test_half_a_request_is_none() -> None:
    with served() as server, connect(server) as caller:
        caller.sendall(b"GET /metrics HTTP/1.1\r\nHost: he")
        caller.shutdown(socket.SHUT_WR)
        assert status(caller.recv(100)) == 400


def test_a_caller_that_sends_nothing_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Load balancers open a connection and close it."""
    caplog.set_level(logging.DEBUG)
    with served() as server:
        connect(server).close()
        assert status(exchange(server, HEALTH)) == 200
    assert [each for each in caplog.records if each.levelno > logging.DEBUG] == []


def test_a_request_in_pieces() -> None:
    with served() as server, connect(server) as caller:
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /a?b HTTP/1.1\r\naCCept:  x/y \r\n\r\n":
            caller.sendall(bytes([byte]))
        response = b"".join(iter(lambda: caller.recv(1000), b""))
    assert b"path=/a; accept=x/y\r\n" in response


def test_head_has_no_body() -> None:
    with served() as server:
        response = exchange(server, b"HEAD /health HTTP/1.0\r\n\r\n")
    assert response.endswith(b"\r\n\r\n")
    assert b"Content-Length: 17\r\n" in response


@pytest.mark.parametrize(
    "line", [b"GET /\x1b[2J\x07\x9b HTTP/1.1", b"GET /\rERROR faked HTTP/1.1", b"\x0b\x85\x00 x y"]
)
def test_requests_are_logged_without_control_characters(line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "user_classifier")
    with served() as server:
        exchange(server, line + b"\r\n\r\n")
    (record,) = [each for each in caplog.records if each.name == "user_classifier"]
    assert record.levelno == logging.DEBUG
    assert record.getMessage().isprintable()
    assert record.getMessage().isascii()


def test_a_long_line_is_logged_in_part(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "user_classifier")
    with served() as server, connect(server) as caller:
        caller.sendall(b"GET /" + b"x" * MAX_HEAD_BYTES)
        assert status(caller.recv(20)) == 431
    assert max(len(each.getMessage()) for each in caplog.records) < 300


# Callers that hold on


def test_silent_callers_do_not_keep_others_out() -> None:
    with served() as server, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(server)) for _ in range(3 * MAX_CALLERS)]
        assert status(exchange(server, HEALTH)) == 200
        wait_until(lambda: sum(map(is_closed, silent)) > 2 * MAX_CALLERS, "the oldest callers to be cut off")
        assert not is_closed(silent[-1])


def test_a_byte_now_and_then_keeps_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "REQUEST_SECONDS", 0.5)
    with served() as server, connect(server) as caller:

        def send_a_byte() -> bool:
            try:
                caller.send(b"G")
            except ConnectionError:
                return True
            return False

        wait_until(send_a_byte, "the connection to be closed", TIMEOUT_S)


def test_a_caller_that_reads_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "REQUEST_SECONDS", 0.5)
    server = MetricsServer("127.0.0.1", 0, lambda path, accept: (200, "text/plain", b"x" * 50_000_000))
    try:
        with connect(server) as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.sendall(HEALTH)
            wait_until(lambda: n_connections(server) == 0, "the connection to be closed", TIMEOUT_S)
    finally:
        server.close()


def n_connections(server: MetricsServer) -> int:
    """The connections of this process that the server has accepted."""
    import psutil

    found = psutil.Process().net_connections("tcp")
    return sum(each.laddr.port == server.port and each.status == psutil.CONN_ESTABLISHED for each in found)


def failed_at(caplog: pytest.LogCaptureFixture) -> list[float]:
    """When an accept has failed, in seconds."""
    return [each.created for each in caplog.records if "Too many open files" in each.getMessage()]


def test_too_many_open_files(caplog: pytest.LogCaptureFixture) -> None:
    """The server tries again after a pause, without taking the processor meanwhile."""
    caplog.set_level(logging.DEBUG, "user_classifier")
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with served() as server, connect(server) as caller, contextlib.ExitStack() as stack:
        wait_until(lambda: n_connections(server) == 1, "the connection")
        waiting = stack.enter_context(socket.socket())
        waiting.settimeout(TIMEOUT_S)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))  # so that no other can be opened
        try:
            waiting.connect(("127.0.0.1", server.port))
            waiting.sendall(HEALTH)
            wait_until(lambda: len(failed_at(caplog)) > 2, "an accept to fail")
            times = failed_at(caplog)
            assert min(after - before for before, after in itertools.pairwise(times)) > 0.9 * OUT_OF_RESOURCES_SECONDS
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
        assert status(waiting.recv(100)) == 200
        assert not is_closed(caller)


# Addresses


def test_a_port_in_use() -> None:
    with served() as server, pytest.raises(CannotListen, match=r".") as raised:
        MetricsServer("127.0.0.1", server.port, page)
    assert str(raised.value) == (
        f"cannot serve metrics at 127.0.0.1:{server.port} (Address already in use);"
        " choose another port with --metrics-port"
    )
    assert raised.value.exit_code == 1, "it may be free at the next start"


def test_a_port_out_of_range() -> None:
    message = r"cannot serve metrics at 127\.0\.0\.1:70000 \(ports are 1 to 65535\)"
    with pytest.raises(ConfigError, match=message):
        MetricsServer("127.0.0.1", 70_000, page)


@pytest.mark.parametrize(
    ("host", "shown", "reason"),
    [
        ("192.0.2.1", "192.0.2.1", "Cannot assign requested address"),  # reserved for documentation
        ("2001:db8::1", "[2001:db8::1]", r"[^()]+"),  # the reason depends on the support of IPv6
    ],
)
def test_an_address_of_another_machine(host: str, shown: str, reason: str) -> None:
    message = rf"cannot serve metrics at {re.escape(shown)}:9400 \({reason}\); choose an address of this machine with"
    with pytest.raises(ConfigError, match=rf"^{message} --metrics-host, 0\.0\.0\.0 for all$"):
        MetricsServer(host, 9400, page)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), ConfigError),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), CannotListen),
        (PermissionError(13, "Permission denied"), ConfigError),
        (OSError(24, "Too many open files"), CannotListen),
    ],
)
def test_what_may_pass_by_itself(error: OSError, kind: type[Exception]) -> None:
    assert metrics_server.listen_problem(error)[0] is kind


def test_only_the_given_address_answers() -> None:
    """All of 127.0.0.0/8 is this machine, so a second address is at hand."""
    with served("127.0.0.2") as server:
        assert urllib.request.urlopen(f"http://127.0.0.2:{server.port}/", timeout=30).status == 200
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=30)


def test_the_port_is_free_after_close() -> None:
    with served() as server, connect(server):
        port = server.port
    again = MetricsServer("127.0.0.1", port, page)
    try:
        assert status(exchange(again, HEALTH)) == 200
    finally:
        again.close()
