"""OAUTHBEARER with an OpenID provider over https: it works, and each mistake and outage is reported."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.secure.conftest import Secured, SecuredPipeline
from tests.secure.provider import OpenIdProvider
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.client import Client
from tests.support.waiting import wait_until

MakeSecured = Callable[[], SecuredPipeline]
PREFIX = "user_classifier.py: error: "
WRONG = "not-the-secret"
CLIENT_NAMES = ("sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret", "sasl.oauthbearer.scope")
ENDPOINT = "sasl.oauthbearer.token.endpoint.url"
OAUTH_ERROR = b'{"error": "invalid_scope", "error_description": "no such scope"}'


@pytest.fixture
def provider(secured: Secured) -> Iterator[OpenIdProvider]:
    """The provider, as it was before when the test ends."""
    found = secured.provider
    secret = found.secret
    yield found
    found.secret = secret
    found.lifetime_s = 300
    found.clock_s = 0
    found.answer = None


@pytest.fixture
def pipeline(make_secured: MakeSecured, secured: Secured) -> SecuredPipeline:
    """A pipeline with one row, whose client uses tokens."""
    made = make_secured()
    made.use_tokens(secured)
    made.prepare(secured)
    return made


def set_in_kafka(pipeline: SecuredPipeline, properties: dict[str, str | None]) -> None:
    """Set properties in both sections of Kafka; None removes one."""
    for section in ("consumer", "producer"):
        given = {**pipeline.sections[section], **properties}
        pipeline.sections[section] = {key: value for key, value in given.items() if value is not None}


def test_users_are_labelled(pipeline: SecuredPipeline) -> None:
    finished = pipeline.run()
    assert finished.code == 0, finished.output
    wait_until(lambda: set(pipeline.labelling()) == {"ann"}, "the label")
    checked = pipeline.run("--check")
    assert (checked.code, "TO DO" in checked.stdout) == (0, False), checked.output


def test_without_authorities_those_of_the_system_are_used(
    pipeline: SecuredPipeline, secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = str(secured.authority.ca)
    monkeypatch.setenv("SSL_CERT_FILE", ca)
    set_in_kafka(pipeline, {"https.ca.location": None})
    printed = pipeline.run("--print-config")
    assert printed.stdout.count(f"\nhttps.ca.location = {ca}\n") == 2
    finished = pipeline.run()
    assert finished.code == 0, finished.output
    # The library's own search finds only the file of another system.
    set_in_kafka(pipeline, {"https.ca.location": "probe"})
    assert pipeline.run("--dry-run").code == 0


class Mistake(NamedTuple):
    """One mistake: what is wrong in the file and at the provider, and the names that the message must contain."""

    properties: dict[str, str | None]
    at_provider: dict[str, object]
    names: tuple[str, ...]


MISTAKES = {
    "wrong secret": Mistake({"sasl.oauthbearer.client.secret": WRONG}, {}, CLIENT_NAMES),
    "unknown client": Mistake({"sasl.oauthbearer.client.id": "nobody"}, {}, CLIENT_NAMES),
    "wrong scope": Mistake({}, {"answer": (400, OAUTH_ERROR)}, CLIENT_NAMES),
    "a web page": Mistake({}, {"answer": (200, b"<html>sign in</html>")}, (ENDPOINT,)),
    "a wrong path": Mistake({}, {"answer": (404, b"not found")}, (ENDPOINT,)),
    "no token": Mistake({}, {"answer": (200, b"{}")}, (ENDPOINT,)),
    "out of order": Mistake({}, {"answer": (503, b"maintenance")}, (ENDPOINT,)),
    "no provider": Mistake({ENDPOINT: "https://127.0.0.1:1/token"}, {}, (ENDPOINT, "127.0.0.1:1")),
    "no such host": Mistake({ENDPOINT: "https://provider.invalid/token"}, {}, (ENDPOINT, "resolve host")),
    "not a URL": Mistake({ENDPOINT: "provider.invalid/token"}, {}, (ENDPOINT,)),
    "a clock that is behind": Mistake({}, {"clock_s": -4000}, ("the clock of this machine",)),
    "a token for another time": Mistake({}, {"clock_s": 400_000_000, "lifetime_s": -300_000_000}, ("clock",)),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_reported(
    name: str, pipeline: SecuredPipeline, provider: OpenIdProvider, secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("classifier.kafka.client.CONNECT_ATTEMPTS", 2)
    mistake = MISTAKES[name]
    set_in_kafka(pipeline, mistake.properties)
    for attribute, value in mistake.at_provider.items():
        setattr(provider, attribute, value)
    for options in ((), ("--check",)):
        finished = pipeline.run(*options)
        assert finished.code == 1, finished.output
        for each in mistake.names:
            assert each in finished.output
        for secret in (secured.secrets.client_secret, WRONG):
            assert secret not in finished.output


@pytest.mark.parametrize(
    ("properties", "names"),
    [
        ({"https.ca.location": "STRANGER"}, ("https.ca.location", ENDPOINT)),
        ({"security.protocol": "SASL_PLAINTEXT"}, ("security.protocol",)),
    ],
    ids=["unknown authority of the provider", "no TLS"],
)
def test_a_mistake_of_tls(
    properties: dict[str, str | None],
    names: tuple[str, ...],
    pipeline: SecuredPipeline,
    secured: Secured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("classifier.kafka.client.CONNECT_ATTEMPTS", 2)
    stranger = str(secured.stranger.ca)
    set_in_kafka(pipeline, {key: stranger if value == "STRANGER" else value for key, value in properties.items()})
    finished = pipeline.run()
    assert finished.code == 1
    for name in names:
        assert name in finished.stderr


def test_a_token_that_the_brokers_refuse(
    pipeline: SecuredPipeline, provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is of another audience."""
    monkeypatch.setattr("tests.secure.provider.AUDIENCE", "another")
    finished = pipeline.run()
    assert finished.code == 1
    for name in ("sasl.oauthbearer.scope", "sasl.oauthbearer.extensions", "the clock", "invalid_token"):
        assert name in finished.stderr
    assert "sasl.password" not in finished.stderr


IMPATIENT = """
from classifier.kafka import diagnosis
from user_classifier import main

diagnosis.REFUSED_SECONDS = 1.0
raise SystemExit(main())
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The client, which ends after a second of refusals."""
    path = tmp_path / "impatient.py"
    path.write_text(IMPATIENT, encoding="utf-8")
    return path


def test_a_secret_renewed_while_the_client_runs(
    pipeline: SecuredPipeline, provider: OpenIdProvider, secured: Secured, script: Path, tmp_path: Path
) -> None:
    """Brokers ask for a new token before the old one expires; the provider then refuses."""
    provider.lifetime_s = 5
    old = provider.secret
    with Client(pipeline.arguments(), tmp_path / "log", script) as client:
        client.wait_for_output("1 changes")
        provider.secret = "the-new-one"
        assert client.wait() == 1
    last = client.output.splitlines()[-1]
    assert re.search(r"; see \[consumer\].*; refused for 1 s$|; see \[producer\]; refused for 1 s$", last)
    for name in CLIENT_NAMES:
        assert name in last
    assert old not in client.output


def test_an_outage_of_the_provider(
    pipeline: SecuredPipeline, provider: OpenIdProvider, script: Path, tmp_path: Path
) -> None:
    """The client waits for it, however long it lasts, and labels again."""
    provider.lifetime_s = 5
    with Client(pipeline.arguments(), tmp_path / "log", script) as client:
        client.wait_for_output("1 changes")
        provider.stop()
        try:
            client.wait_for_output(f"check {ENDPOINT}; retrying until it is back")
        finally:
            provider.start()
        pipeline.write([Placed(0, Change(Op.INSERT, Row("bob", 2.0, 1)))])
        wait_until(lambda: set(pipeline.labelling()) == {"ann", "bob"}, "the label after the outage")
        assert client.running
