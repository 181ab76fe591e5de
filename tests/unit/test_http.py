"""HTTP settings of the Schema Registry: messages name a wrong variable or property, never its value."""

from pathlib import Path

import certifi
import confluent_kafka.schema_registry  # noqa: F401  brings the HTTP library
import pytest

from classifier.errors import ConfigError
from classifier.serialization.http import is_url, other_settings_to_check
from classifier.serialization.registry import SchemaRegistry
from classifier.stop import StopRequest

URL = {"url": "http://registry:8081"}
NO_PROXY_URL = "is not a proxy URL; write http://host:port, special characters as %XX"
SOCKS = "a SOCKS proxy needs a package that is not installed; type: pip install socksio"
NO_FILE = "its value is not a certificate file; set one"
SECRET = "s3cr3t"


def error_of(properties: dict[str, str]) -> str:
    """Return the error message of a start, which has one line and no secret; empty if it succeeds."""
    message = ""
    try:
        SchemaRegistry(properties, StopRequest()).close()
    except ConfigError as error:
        message = str(error)
    assert SECRET not in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1", SOCKS),
        ("all_proxy", f"socks5h://user:{SECRET}@host:1", SOCKS),
        ("HTTPS_PROXY", "socks5://host:1", SOCKS),
        *(
            (name, value, NO_PROXY_URL)
            for name in ("HTTP_PROXY", "https_proxy", "ALL_PROXY")
            for value in (
                *("http://host:port", "ftp://host:1", " http://host:1", "http://", "://host", "http://[::1", "http://:80"),
                *(f"http://user:{SECRET}#@host:1", f"ftp://user:{SECRET}@host:1", f"{SECRET}://host", "http://a b:1"),
            )
        ),
        ("SSL_CERT_FILE", "/nothing", NO_FILE),
        ("SSL_CERT_FILE", "/", NO_FILE),
        ("SSL_CERT_FILE", __file__, NO_FILE),
        ("SSL_CERT_DIR", "/nothing", "its value is not a directory; set one"),
        ("SSL_CERT_DIR", __file__, "its value is not a directory; set one"),
        ("SSLKEYLOGFILE", "/nothing/keys", "its value is not a writable file; set one"),
        ("SSLKEYLOGFILE", "/", "its value is not a writable file; set one"),
    ],
)  # fmt: skip
def test_wrong_value(name: str, value: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert error_of(URL) == f"environment: {name}: {complaint}, or type: unset {name}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("HTTP_PROXY", value) for value in ("", "host:8080", "http://user:p%40ss@host:1", "http://[::1]:80")),
        *(("ALL_PROXY", value) for value in ("https://host", "HTTP://host:1")),
        *(("NO_PROXY", value) for value in ("*", ".local", "host:80,::1, 10.0.0.0/8", "*.example.com", "")),
        *((name, "/nothing") for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "OPENSSL_CONF")),
        *((name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")),
    ],
)
def test_accepted_value(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert error_of(URL) == ""


def test_the_message_names_the_wrong_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    monkeypatch.setenv("SSLKEYLOGFILE", "/nothing/keys")
    assert error_of(URL).startswith("environment: SSLKEYLOGFILE: ")


def test_lower_case_takes_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://host:port")
    monkeypatch.setenv("http_proxy", "http://host:1")
    assert error_of(URL) == ""
    monkeypatch.setenv("http_proxy", "ftp://host:1")
    assert error_of(URL).startswith("environment: http_proxy: ")


def test_the_file_takes_precedence_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://host:1")
    monkeypatch.setenv("SSL_CERT_FILE", "/nothing")
    assert error_of({**URL, "proxy": "http://host:1", "ssl.ca.location": str(tmp_path)}) == ""


@pytest.mark.parametrize(
    ("value", "complaint"),
    [("socks5://host:1", SOCKS), (f"http://user:{SECRET}#@host", NO_PROXY_URL), ("", NO_PROXY_URL)],
)
def test_wrong_proxy_in_the_file(value: str, complaint: str) -> None:
    assert error_of({**URL, "proxy": value}) == f"[schema_registry] proxy: {complaint}"


@pytest.mark.parametrize(
    ("environment", "properties", "cause", "also"),
    [
        ({}, {}, "no answer", ""),
        ({"HTTP_PROXY": "p:1"}, {}, "no answer", " and HTTP_PROXY"),
        ({"http_proxy": "p:1", "ALL_PROXY": "p:1"}, {}, "no answer", " and http_proxy"),
        ({"ALL_PROXY": "http://p:1"}, {}, "no answer", " and ALL_PROXY"),
        ({"HTTPS_PROXY": "p:1"}, {}, "no answer", ""),
        ({"HTTPS_PROXY": "p:1"}, {"url": "http://a,https://b"}, "no answer", " and HTTPS_PROXY"),
        ({"HTTP_PROXY": "p:1", "NO_PROXY": "registry"}, {}, "no answer", ""),
        ({"HTTP_PROXY": "p:1", "no_proxy": "*"}, {}, "no answer", ""),
        ({"HTTP_PROXY": "p:1"}, {"proxy": "http://q"}, "no answer", " and proxy"),
        ({"SSL_CERT_FILE": "f"}, {}, "CERTIFICATE_VERIFY_FAILED", ", ssl.ca.location and SSL_CERT_FILE"),
        ({"SSL_CERT_FILE": "f"}, {"ssl.ca.location": "f"}, "CERTIFICATE_VERIFY_FAILED", " and ssl.ca.location"),
        ({"SSL_CERT_DIR": "d", "ALL_PROXY": "p:1"}, {}, "CERTIFICATE", ", ssl.ca.location, SSL_CERT_DIR and ALL_PROXY"),
    ],
)
def test_other_settings_to_check(
    environment: dict[str, str], properties: dict[str, str], cause: str, also: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert other_settings_to_check({**URL, **properties}, cause) == also


@pytest.mark.parametrize(
    "url", ["http://host", "https://host:8081/api", "http://[::1]:8081", "http://u:p@a_b", "HTTP://h"]
)
def test_valid_urls(url: str) -> None:
    assert is_url(url)


@pytest.mark.parametrize(
    "url", ["", "host:8081", "http://", "http://host:port", "http://host:99999", "http://ho st", "ftp://host", "http://h\0"]
)  # fmt: skip
def test_invalid_urls(url: str) -> None:
    assert not is_url(url)
