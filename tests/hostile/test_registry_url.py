"""A url without a registry gets the same message in a run, --dry-run, --explore-k and --check."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support import configuration, inside
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.client import Finished
from tests.support.pipeline import Pipeline

PREFIX = "user_classifier.py: error: "
WAYS = ((), ("--until-end",), ("--dry-run",), ("--explore-k",), ("--check",))
PAGES = {
    "a web page": (404, "text/html", b"<html>404 Not Found</html>"),
    "an ingress": (404, "text/plain", b"default backend - 404"),
    "another service": (404, "application/json", b'{"error_code": 404, "message": "HTTP 404 Not Found"}'),
    "nothing more": (404, "application/json", b"[]"),
}
Answer = tuple[int, str, bytes]


ATTEMPTS = 10


@pytest.fixture
def elsewhere() -> Iterator[ThreadingHTTPServer]:
    """A server on loopback that is no registry; it sends `answer` to every request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = self.server.answer  # type: ignore[attr-defined]
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def message_about(pipeline: Pipeline, url: str, way: tuple[str, ...]) -> str:
    """The message about this url, which must be the only one."""
    pipeline.configure("schema_registry", url=url)
    finished = inside.run(pipeline.arguments(*way))
    assert finished.code == 1, finished.output
    assert "Traceback" not in finished.output
    return message_in(finished).replace(url, "URL")


def message_in(finished: Finished) -> str:
    """The one message about the registry."""
    (line,) = [each for each in finished.output.splitlines() if each.startswith((PREFIX, "TO DO"))]
    return line.removeprefix(PREFIX).removeprefix("TO DO   [schema_registry] url and credentials: ")


@pytest.fixture
def written(pipeline: Pipeline) -> Pipeline:
    """A pipeline with one row."""
    pipeline.write([Placed(0, Change(Op.INSERT, Row("ann", 1.0, 1)))])
    return pipeline


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_another_path_of_the_registry(written: Pipeline, way: tuple[str, ...]) -> None:
    nowhere = f"{written.subjects.url}/nowhere"
    hanging = "no answer (timed out)"
    # Sometimes this registry does not answer for an unknown path.
    lines = (message_about(written, nowhere, way) for _ in range(ATTEMPTS))
    line = next(line for line in lines if hanging not in line)
    assert line == "Schema Registry URL: HTTP 404; check [schema_registry] url"


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_another_server(written: Pipeline, elsewhere: ThreadingHTTPServer, page: Answer, way: tuple[str, ...]) -> None:
    elsewhere.answer = page  # type: ignore[attr-defined]
    url = f"http://127.0.0.1:{elsewhere.server_port}"
    assert message_about(written, url, way) == "Schema Registry URL: HTTP 404; check [schema_registry] url"


def test_a_proxy_that_does_not_answer_is_named(written: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    url = written.sections["schema_registry"]["url"]
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    for way in WAYS:
        line = message_about(written, url, way)
        assert line.startswith("Schema Registry URL: no answer (")
        assert line.endswith("; check [schema_registry] url and ALL_PROXY")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    assert inside.run(written.arguments("--until-end")).code == 0


def test_a_proxy_that_cannot_be_used_is_named(written: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://user:s3cr3t@127.0.0.1:1")
    complaint = (
        "a SOCKS proxy needs a package that is not installed; type: pip install socksio, or type: unset https_proxy"
    )
    for way in WAYS:
        finished = inside.run(written.arguments(*way))
        assert finished == (2, "", f"{PREFIX}environment: https_proxy: {complaint}\n")


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_variables_of_other_programs(written: Pipeline, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "/nothing")
    assert inside.run(written.arguments("--until-end")).code == 0


def test_of_several_urls_the_first_that_answers_is_used(written: Pipeline, tmp_path: Path) -> None:
    there = written.sections["schema_registry"]["url"]
    written.sections["schema_registry"]["url"] = f"http://127.0.0.1:1, {there}"
    configuration.write(written.file, written.sections)
    assert inside.run(written.arguments("--until-end")).code == 0
