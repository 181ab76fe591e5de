"""A reverse proxy that asks who it is, as oauth2-proxy does: a request without its cookie gets the page to sign in."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SIGN_IN = "/oauth2/sign_in"
COOKIE = "_oauth2_proxy=signed-in"
PAGE = b"<title>Sign in</title><a href='/oauth2/start'>Sign in</a>"
LARGEST_HEAD = 65_536


def response(status: str, body: bytes, *headers: str) -> bytes:
    """A whole response of the proxy itself."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: text/html", "Connection: close"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def head_of(connection: socket.socket) -> bytes:
    """The request up to the empty line, and what was read after it."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < LARGEST_HEAD:
        more = connection.recv(65_536)
        if not more:
            return b""
        head += more
    return head


def copy(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes until one side closes."""
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class ReverseProxy:
    """Forwards requests with the cookie to a port of this machine; the Host header stays that of the browser."""

    def __init__(self, target: int, listener: socket.socket, base_path: str) -> None:
        self.port = listener.getsockname()[1]
        self._target = target
        self._listener = listener
        self._base_path = base_path
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with suppress(OSError):  # the listener is closed at the end
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = head_of(connection)
            if not head:
                return
            path = head.split(b" ", 2)[1].decode()
            if path == "/oauth2/start":
                cookie = f"Set-Cookie: {COOKIE}; Path=/; HttpOnly; SameSite=Lax"
                connection.sendall(response("302 Found", b"", f"Location: {self._base_path}/", cookie))
            elif COOKIE.encode() not in head:
                connection.sendall(response("403 Forbidden", PAGE))
            else:
                self._forward(connection, head)

    def _forward(self, connection: socket.socket, head: bytes) -> None:
        """Forward one request, or a websocket."""
        if not re.search(rb"(?im)^upgrade: *websocket", head):
            head = re.sub(rb"(?im)^connection:.*\r\n", b"", head).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        with socket.create_connection(("127.0.0.1", self._target)) as target:
            target.sendall(head)
            upload = threading.Thread(target=copy, args=(connection, target), daemon=True)
            upload.start()
            copy(target, connection)


@contextmanager
def reverse_proxy(target: int, listener: socket.socket, base_path: str = "") -> Iterator[ReverseProxy]:
    """A proxy until the end of the block."""
    with listener:
        yield ReverseProxy(target, listener, base_path)
