"""A registry behind TLS and basic auth: a reverse proxy that asks for the password."""

import base64
import http.client
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

TIMEOUT_S = 30.0
KEPT_HEADERS = ("Content-Type", "Accept")


class GuardedRegistry:
    """Serves `https://127.0.0.1:port/...` from another registry's URL, for one user and password."""

    def __init__(self, url: str, pem: Path, token: str) -> None:
        self.requests = 0
        self._target = urlsplit(url)
        self._wanted = "Basic " + base64.b64encode(token.encode()).decode()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        # The handshake belongs to the thread of the connection, not to the one that accepts.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._server.daemon_threads = True
        self.url = f"https://127.0.0.1:{self._server.server_port}{self._target.path}"

    def __enter__(self) -> "GuardedRegistry":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Status, content type and body for a request."""
        self.requests += 1
        if headers.get("authorization") != self._wanted:
            return 401, "application/json", b'{"error_code": 40101, "message": "Unauthorized"}'
        connection = http.client.HTTPConnection(self._target.netloc, timeout=TIMEOUT_S)
        try:
            kept = {name: headers[name.lower()] for name in KEPT_HEADERS if name.lower() in headers}
            connection.request(method, path, body or None, kept)
            found = connection.getresponse()
            return found.status, found.headers.get("Content-Type", ""), found.read()
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        guarded = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = TIMEOUT_S

            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, kind, body = guarded.answer(self.command, self.path, headers, self.rfile.read(size))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET
            do_DELETE = do_GET

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:  # the client did not like the certificate, or is gone
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        return Handler
