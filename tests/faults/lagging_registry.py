"""A registry that lags: for a while it does not know a schema id that another registry has given.

A follower of Confluent's Schema Registry answers like this until it has read what its leader wrote.
"""

import re
import threading
import time
from http.server import ThreadingHTTPServer
from types import TracebackType

import requests

from tests.support.http_handler import QuietHandler

TIMEOUT_S = 30.0
NOT_FOUND = b'{"error_code": 40403, "message": "Schema not found"}'
SCHEMA_BY_ID = re.compile(r"/schemas/ids/(\d+)")


class LaggingRegistry:
    """Serves another registry's URL; it does not know the ids in `unknown` until `lag_s` after the first question."""

    def __init__(self, url: str, lag_s: float) -> None:
        self._target, self._lag_s = url, lag_s
        self.unknown: set[int] = set()
        self.n_denied = 0
        """How often the answer for an existing id was "not found"."""
        self._first_asked: dict[int, float] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "LaggingRegistry":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def denied(self) -> set[int]:
        """The ids that it has denied."""
        return set(self._first_asked)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body for a request."""
        asked = SCHEMA_BY_ID.match(path)
        if asked and self._denies(int(asked[1])):
            return 404, NOT_FOUND
        kept = {"Content-Type": "application/json"} if body else {}
        found = requests.request(method, self._target + path, data=body or None, headers=kept, timeout=TIMEOUT_S)
        return found.status_code, found.content

    def _denies(self, schema_id: int) -> bool:
        if schema_id not in self.unknown:
            return False
        with self._lock:
            first = self._first_asked.setdefault(schema_id, time.monotonic())
            denied = time.monotonic() < first + self._lag_s
            self.n_denied += denied
        return denied

    def _handler(self) -> type[QuietHandler]:
        registry = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, body = registry.answer(self.command, self.path, self.body())
                self.reply(status, "application/json", body)

            do_POST = do_GET

        return Handler
