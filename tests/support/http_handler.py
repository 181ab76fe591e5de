"""A handler of HTTP requests for the servers of tests."""

from http.server import BaseHTTPRequestHandler


class QuietHandler(BaseHTTPRequestHandler):
    """Logs nothing, and takes a broken connection for the end of it."""

    timeout = 30.0

    def body(self) -> bytes:
        """Read the body of the request."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, status: int, kind: str, body: bytes) -> None:
        """Send a response."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        """Handle the requests of a connection."""
        try:
            super().handle()
        except OSError:  # the client refused the certificate, or has closed the connection
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Log nothing."""
