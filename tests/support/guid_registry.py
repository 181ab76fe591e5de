"""A registry that knows schemas by GUID, as Confluent's does from version 8 on: a proxy before one that does not."""

import http.client
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

TIMEOUT_S = 30.0
BY_GUID = "/schemas/guids/"


class GuidRegistry:
    """Serves what another registry has; the GUID of schema id n is UUID(int=n)."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}{self._target.path}"

    def __enter__(self) -> "GuidRegistry":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, kind: str, body: bytes) -> tuple[int, str, bytes]:
        """Status, content type and body for a request."""
        before, by_guid, guid = path.partition(BY_GUID)
        if by_guid:
            path = f"{before}/schemas/ids/{uuid.UUID(guid).int}"
        connection = http.client.HTTPConnection(self._target.netloc, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body or None, {"Content-Type": kind} if body else {})
            found = connection.getresponse()
            return found.status, found.headers.get("Content-Type", ""), found.read()
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = TIMEOUT_S

            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                kind = self.headers.get("Content-Type", "")
                status, kind, body = registry.answer(self.command, self.path, kind, self.rfile.read(size))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        return Handler
