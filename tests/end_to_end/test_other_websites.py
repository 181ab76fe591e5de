"""What a page of another website can send to Flink from the same browser: nothing is answered, nothing is run.

Without a refusal each of these requests ran: statements by the SQL gateway, which read and write files, and uploaded
jars by the JobManager.
"""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from local.services.flink import FlinkCluster
from local.sql.sql_gateway import SqlSession
from tests.support.listening import addresses_of_listener, is_loopback

SECONDS = 30.0
ELSEWHERE = "http://elsewhere.example"
REFUSED = (403, "refused: only for requests to 127.0.0.1 or localhost, and not for the pages of other websites\n")
PAGES = {"gateway": "/v3/info", "rest": "/overview"}


def url_of(flink: FlinkCluster, service: str) -> str:
    """The URL of the JobManager or of the SQL gateway."""
    return str(getattr(flink.urls, service))


def port_of(url: str) -> int:
    """The port of a URL."""
    return urlsplit(url).port or 80


def send(method: str, url: str, headers: dict[str, str], **body: object) -> requests.Response:
    """Send a request as a browser does; its body is one that needs no permission to be sent (no preflight)."""
    return requests.request(method, url, headers=headers, timeout=SECONDS, **body)  # type: ignore[arg-type]


@pytest.mark.parametrize("service", PAGES)
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ELSEWHERE},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://localhost"},
        {"Origin": "https://{own}"},
        {"Origin": "http://{own}.elsewhere.example"},
        {"Host": "elsewhere.example:8083", "Origin": "http://elsewhere.example:8083"},
        {"Host": "elsewhere.example:8083"},
        {"Host": "127.0.0.1.elsewhere.example"},
        {"Host": "127.0.0.1:8083.elsewhere.example"},
        {"Host": ""},
    ],
    ids=str,
)
def test_another_website_is_refused(headers: dict[str, str], method: str, service: str, flink: FlinkCluster) -> None:
    url = url_of(flink, service)
    sent = {name: value.format(own=urlsplit(url).netloc) for name, value in headers.items()}
    answer = send(method, f"{url}{PAGES[service]}", sent)
    assert (answer.status_code, answer.text) == REFUSED
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("service", PAGES)
def test_programs_and_its_own_page_are_answered(service: str, flink: FlinkCluster) -> None:
    url = url_of(flink, service)
    port = port_of(url)
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost", f"LOCALHOST:{port}", f"[::1]:{port}"):
        for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}):
            answer = send("GET", f"{url}{PAGES[service]}", headers)
            assert answer.status_code == requests.codes.ok
            assert answer.headers["Access-Control-Allow-Origin"] == flink.urls.rest


def test_sql_from_another_website_reads_and_writes_no_file(flink: FlinkCluster, tmp_path: Path) -> None:
    """The requests of such a page: with the type text/plain a browser sends them without asking the server before."""
    (tmp_path / "secret.csv").write_text("secret\n")
    session = SqlSession(flink.urls.gateway, "own")  # as if the page knew its handle
    address = f"{flink.urls.gateway}/v3/sessions"
    table = "CREATE TABLE t (line STRING) WITH ('connector' = 'filesystem', 'format' = 'csv', 'path' = '{path}')"
    statements = (table.format(path=tmp_path), "INSERT INTO t VALUES ('written')", "SELECT * FROM t")
    before = sorted(tmp_path.rglob("*"))
    for headers in ({"Origin": ELSEWHERE}, {"Host": "elsewhere.example", "Origin": ELSEWHERE}):
        typed = {**headers, "Content-Type": "text/plain"}
        opened = send("POST", address, typed, data='{"sessionName": "page"}')
        assert (opened.status_code, opened.text) == REFUSED
        for statement in statements:
            body = f'{{"statement": "{statement}"}}'
            answer = send("POST", f"{address}/{session.handle}/statements", typed, data=body)
            assert (answer.status_code, answer.text) == REFUSED
    assert sorted(tmp_path.rglob("*")) == before
    session.execute("SET 'a' = 'b'")  # the session of a program goes on
    session.close()


def test_no_program_is_uploaded(flink: FlinkCluster) -> None:
    """Not from this machine either; a job comes from the SQL gateway."""
    url = flink.urls.rest
    jar = {"jarfile": ("x.jar", b"PK" * 100_000, "application/x-java-archive")}
    answer = send("POST", f"{url}/jars/upload", {"Origin": ELSEWHERE}, files=jar)
    assert (answer.status_code, answer.text) == REFUSED
    assert not send("POST", f"{url}/jars/upload", {}, files=jar).ok
    assert send("GET", f"{url}/jars", {}).status_code == requests.codes.not_found
    job = {"request": (None, "{}", "application/json"), "file_0": ("graph", b"\xac\xed\0\5" * 1000)}
    answer = send("POST", f"{url}/jobs", {"Origin": ELSEWHERE}, files=job)
    assert (answer.status_code, answer.text) == REFUSED
    uploads = [path for path in Path(flink.directory).rglob("*") if "upload" in path.name]
    assert [file for folder in uploads for file in folder.rglob("*") if file.is_file()] == []


@pytest.mark.parametrize("service", PAGES)
def test_other_machines_cannot_connect(service: str, flink: FlinkCluster) -> None:
    assert all(map(is_loopback, addresses_of_listener(port_of(url_of(flink, service)))))
