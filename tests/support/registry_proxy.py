"""A reverse proxy in front of the Schema Registry: TLS, a password, and schemas by GUID, as Confluent's has them."""

import base64
import http.client
import ssl
import threading
import uuid
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.support.http_handler import QuietHandler

TIMEOUT_S = 30.0
FORWARDED_HEADERS = ("Content-Type", "Accept")
BY_GUID = "/schemas/guids/"
UNAUTHORIZED = 401, "application/json", b'{"error_code": 40101, "message": "Unauthorized"}'


def basic(token: str) -> str:
    """The header of basic authentication."""
    return "Basic " + base64.b64encode(token.encode()).decode()


class RegistryProxy:
    """Forwards requests to another registry; the GUID of schema id n is UUID(int=n).

    With `pem`, the file of a certificate and its key, it serves https; with `token`, user:password, it asks for these;
    with `ca` it asks for a certificate of that authority.
    """

    def __init__(self, url: str, pem: Path | None = None, token: str | None = None, ca: Path | None = None) -> None:
        self.requests = 0
        self._target = urlsplit(url)
        self._authorization = basic(token) if token else None
        self._context: ssl.SSLContext | None = None
        self._n_renewed = 0  # connections of before a renewal are closed
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if pem:
            self._use_tls(pem, ca)
        self.url = f"{'https' if pem else 'http'}://127.0.0.1:{self._server.server_port}{self._target.path}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def renew(self, pem: Path | None = None, token: str | None = None) -> None:
        """Serve another certificate, or ask for another password, from now on."""
        if pem and self._context:
            self._context.load_cert_chain(pem)
        if token:
            self._authorization = basic(token)
        self._n_renewed += 1

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Status, content type and body of the response; the names of the headers are in lower case."""
        self.requests += 1
        if self._authorization not in (None, headers.get("authorization")):
            return UNAUTHORIZED
        before, by_guid, guid = path.partition(BY_GUID)
        if by_guid:
            path = f"{before}/schemas/ids/{uuid.UUID(guid).int}"
        connection = http.client.HTTPConnection(self._target.netloc, timeout=TIMEOUT_S)
        try:
            forwarded = {name: headers[name.lower()] for name in FORWARDED_HEADERS if name.lower() in headers}
            connection.request(method, path, body or None, forwarded)
            response = connection.getresponse()
            return response.status, response.headers.get("Content-Type", ""), response.read()
        finally:
            connection.close()

    def _use_tls(self, pem: Path, ca: Path | None) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        if ca:
            context.load_verify_locations(ca)
            context.verify_mode = ssl.CERT_REQUIRED
        self._context = context
        # The handshake belongs to the thread of the connection, not to the one that accepts.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    def _handler(self) -> type[QuietHandler]:
        proxy = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                self._n_renewed = proxy._n_renewed

            def do_GET(self) -> None:
                if self._n_renewed != proxy._n_renewed:
                    self.close_connection = True
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, kind, body = proxy.answer(self.command, self.path, headers, self.body())
                self.reply(status, kind, body)

            do_POST = do_GET
            do_DELETE = do_GET

        return Handler
