"""The HTTP server of the metrics: one thread, which slow or many callers cannot use to harm the client.

Guarantee: there are at most MAX_CALLERS connections. A request and its response take at most REQUEST_SECONDS, however
slowly their bytes arrive. If every connection is in use, a new caller replaces the oldest one, so a caller that sends
its request at once gets its response.
"""

import asyncio
import contextlib
import errno
import functools
import logging
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus

from classifier.errors import CannotListen, ClassifierError, ConfigError

log = logging.getLogger("user_classifier")

MAX_CALLERS = 100  # connections at a time; Prometheus and probes need one each
BACKLOG = 1024  # connections that wait to be accepted
ACCEPT_SECONDS = 0.001  # pause after each connection: a flood takes a sixth of a core at most
OUT_OF_RESOURCES_SECONDS = 1.0  # pause after a failed accept, as if there are too many open files
REQUEST_SECONDS = 10.0  # from the connection to the last byte of the response
MAX_HEAD_BYTES = 16_384  # of a request with its headers
MAX_LOGGED = 200  # characters of a request line
TEXT = "text/plain; charset=utf-8"

Response = tuple[int, str, bytes]  # status, content type, body
Page = Callable[[str, str], Response]  # of a path and an Accept header


class MetricsServer:
    """Serves pages from a thread until closed."""

    def __init__(self, host: str, port: int, page: Page) -> None:
        """Start to serve. Port 0 means any free port.

        Raises ConfigError if the host is not an address of this machine, CannotListen if a start may succeed later.
        """
        self._page = page
        self._socket = listener(host, port)
        self.port = int(self._socket.getsockname()[1])
        self._callers: dict[asyncio.Task[None], None] = {}  # the oldest first
        self._loop = asyncio.new_event_loop()
        self._serving = self._loop.create_task(self._serve())
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serving)
        self._loop.close()

    async def _serve(self) -> None:
        try:
            await self._accept()
        finally:
            for caller in self._callers:
                caller.cancel()
            await asyncio.gather(*self._callers, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            try:
                connection, address = await self._loop.sock_accept(self._socket)
            except OSError as error:
                log.debug("metrics: cannot accept a connection (%s)", error.strerror)
                await asyncio.sleep(OUT_OF_RESOURCES_SECONDS)
                continue
            if len(self._callers) >= MAX_CALLERS:
                oldest = next(iter(self._callers))
                oldest.cancel()
                del self._callers[oldest]
            caller = self._loop.create_task(self._answer(connection, address[0]))
            self._callers[caller] = None
            caller.add_done_callback(functools.partial(self._close, connection))
            await asyncio.sleep(ACCEPT_SECONDS)

    def _close(self, connection: socket.socket, caller: asyncio.Task[None]) -> None:
        """Close a connection whose task has ended, or was cancelled before it began."""
        connection.close()
        self._callers.pop(caller, None)

    async def _answer(self, connection: socket.socket, address: str) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await self._read_head(connection)
                if head:
                    await self._loop.sock_sendall(connection, self._respond(head, address))
        except (OSError, TimeoutError) as error:
            log.debug("metrics: a request from %s failed (%s)", address, str(error) or type(error).__name__)

    async def _read_head(self, connection: socket.socket) -> bytes:
        """Return request line and headers, with \\n as line end; more than MAX_HEAD_BYTES of them if they are too long.

        Empty if the caller has sent nothing.
        """
        head = b""
        while b"\n\n" not in head and len(head) <= MAX_HEAD_BYTES:
            received = await self._loop.sock_recv(connection, MAX_HEAD_BYTES)
            if not received:
                break
            head = (head + received).replace(b"\r\n", b"\n")
        return head

    def _respond(self, head: bytes, address: str) -> bytes:
        """Return the response to a request."""
        line, _, headers = head.decode("latin-1").partition("\n")
        status, kind, body = self._found(head, line, headers)
        log.debug("metrics: %s from %s: %d", ascii(line[:MAX_LOGGED]), address, status)
        lines = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            "Server: user_classifier",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            *(["Allow: GET, HEAD"] if status == HTTPStatus.METHOD_NOT_ALLOWED else []),
            "Connection: close",
            "\r\n",
        )
        return "\r\n".join(lines).encode() + (b"" if line.startswith("HEAD ") else body)

    def _found(self, head: bytes, line: str, headers: str) -> Response:
        words = line.split(" ")
        if len(head) > MAX_HEAD_BYTES:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TEXT, b"the headers are too large\n"
        if b"\n\n" not in head or len(words) != 3 or not words[2].startswith("HTTP/1."):
            return HTTPStatus.BAD_REQUEST, TEXT, b"not a request of HTTP/1.1\n"
        if words[0] not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, TEXT, b"the methods are GET and HEAD\n"
        return self._page(words[1].partition("?")[0], accepted(headers))


def accepted(headers: str) -> str:
    """Return the value of the header Accept; empty without one."""
    for line in headers.split("\n"):
        name, _, value = line.partition(":")
        if name.lower() == "accept":
            return value.strip()
    return ""


def listener(host: str, port: int) -> socket.socket:
    """Return a listening socket; ConfigError or CannotListen with a remedy if the address cannot be used."""
    # No name is looked up in the DNS for its own sake, as HTTPServer does with that of this machine.
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # immediately after a restart
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        kind, reason, remedy = listen_problem(error)
        raise kind(f"cannot serve metrics at {where} ({reason}); {remedy}") from None
    listening.setblocking(False)
    return listening


def listen_problem(error: OSError | OverflowError) -> tuple[type[ClassifierError], str, str]:
    """Return the error to raise, why the server cannot listen, and what to type next."""
    other_port = "choose another port with --metrics-port"
    if isinstance(error, OverflowError):
        return ConfigError, "ports are 1 to 65535", other_port
    reason = error.strerror or str(error)
    is_unresolved = isinstance(error, socket.gaierror)
    if is_unresolved or error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        # A resolver that does not answer may do so later.
        kind = CannotListen if is_unresolved and error.errno == socket.EAI_AGAIN else ConfigError
        return kind, reason, "choose an address of this machine with --metrics-host, 0.0.0.0 for all"
    if error.errno == errno.EACCES:
        return ConfigError, reason, other_port
    return CannotListen, reason, other_port
