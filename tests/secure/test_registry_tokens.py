"""A registry that asks for tokens of an OpenID provider: it works, and each mistake and outage is reported."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.secure.conftest import USER, Secured, SecuredPipeline
from tests.secure.provider import SCOPE, OpenIdProvider
from tests.secure.test_renewed import impatient, write_by_new_schema
from tests.support.client import Client
from tests.support.registry_proxy import UNAUTHORIZED, RegistryProxy
from tests.support.waiting import wait_until

CLUSTER = "lsrc-abc123"
POOL = "pool-abc1"
WRONG = "not-the-secret"
CLIENT_NAMES = ("bearer.auth.client.id", "bearer.auth.client.secret", "bearer.auth.scope")
ENDPOINT = "bearer.auth.issuer.endpoint.url"
OTHER_POOL = 403, "application/json", b'{"error_code": 40301, "message": "the pool has no role"}'


class TokenRegistry(RegistryProxy):
    """A relay that checks the token, the cluster and the pool of each request."""

    provider: OpenIdProvider
    refuses = False
    cluster = CLUSTER
    pool: str | None = POOL

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """As the registry, if the token is valid."""
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if self.refuses or not self.provider.accepts(token) or headers.get("target-sr-cluster") != self.cluster:
            return UNAUTHORIZED
        if headers.get("confluent-identity-pool-id") != self.pool:
            return OTHER_POOL
        return super().answer(method, path, headers, body)


@pytest.fixture
def provider(secured: Secured) -> Iterator[OpenIdProvider]:
    """A provider for one test."""
    pem = secured.authority.server("registry_provider")
    with OpenIdProvider(pem, secured.secrets.client_secret) as made:
        yield made


@pytest.fixture
def registry(secured: Secured, provider: OpenIdProvider) -> Iterator[TokenRegistry]:
    """A registry that takes tokens of this provider."""
    with TokenRegistry(secured.services.subjects.url, secured.authority.server("token_registry")) as made:
        made.provider = provider
        yield made


@pytest.fixture
def pipeline(
    make_secured: Callable[[], SecuredPipeline], secured: Secured, registry: TokenRegistry, provider: OpenIdProvider
) -> SecuredPipeline:
    """A pipeline with one row, whose client takes tokens for the registry."""
    made = make_secured()
    made.sections["schema_registry"] = {
        "url": registry.url,
        "ssl.ca.location": str(secured.authority.ca),
        "bearer.auth.credentials.source": "OAUTHBEARER",
        "bearer.auth.issuer.endpoint.url": provider.url,
        "bearer.auth.client.id": USER,
        "bearer.auth.client.secret": secured.secrets.client_secret,
        "bearer.auth.scope": SCOPE,
        "bearer.auth.logical.cluster": CLUSTER,
        "bearer.auth.identity.pool.id": POOL,
    }
    made.prepare(secured)
    return made


def test_users_are_labelled(pipeline: SecuredPipeline, provider: OpenIdProvider) -> None:
    finished = pipeline.run()
    assert finished.code == 0, finished.output
    wait_until(lambda: set(pipeline.labelling()) == {"ann"}, "the label")
    assert provider.requests == 1  # the token is kept
    checked = pipeline.run("--check")
    assert checked.code == 0, checked.output


def test_a_scope_is_optional(pipeline: SecuredPipeline) -> None:
    del pipeline.sections["schema_registry"]["bearer.auth.scope"]
    assert pipeline.run("--dry-run").code == 0


class Mistake(NamedTuple):
    """One mistake: what is wrong in the file and at the provider, and the names that the message must contain."""

    properties: dict[str, str]
    answer: tuple[int, bytes] | None
    names: tuple[str, ...]


MISTAKES = {
    "wrong secret": Mistake({"bearer.auth.client.secret": WRONG}, None, (*CLIENT_NAMES, "invalid_client")),
    "unknown client": Mistake({"bearer.auth.client.id": "nobody"}, None, CLIENT_NAMES),
    "wrong scope": Mistake({}, (400, b'{"error": "invalid_scope"}'), (*CLIENT_NAMES, "invalid_scope")),
    "no provider": Mistake({ENDPOINT: "https://127.0.0.1:1/token"}, None, (ENDPOINT, "127.0.0.1:1")),
    "no such host": Mistake({ENDPOINT: "https://provider.invalid/token"}, None, (ENDPOINT, "provider.invalid")),
    "out of order": Mistake({}, (503, b"maintenance"), (ENDPOINT, "HTTP 503")),
    "a web page": Mistake({}, (200, b"<html>sign in</html>"), (ENDPOINT, "no JSON")),
    "no token": Mistake({}, (200, b"{}"), (ENDPOINT, "access_token")),
    "a token of another": Mistake({}, (200, b'{"access_token": "e30.e30.e30"}'), ("bearer.auth.scope", "HTTP 401")),
    "another cluster": Mistake({"bearer.auth.logical.cluster": "lsrc-0"}, None, ("bearer.auth.logical.cluster",)),
    "another pool": Mistake({"bearer.auth.identity.pool.id": "pool-0"}, None, ("bearer.auth.identity.pool.id",)),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_reported(
    name: str, pipeline: SecuredPipeline, provider: OpenIdProvider, secured: Secured
) -> None:
    mistake = MISTAKES[name]
    pipeline.sections["schema_registry"] |= mistake.properties
    provider.answer = mistake.answer
    for options in ((), ("--check",)):
        finished = pipeline.run(*options)
        assert finished.code == 1, finished.output
        (line,) = [each for each in finished.output.splitlines() if "[schema_registry] bearer.auth." in each]
        for each in mistake.names:
            assert each in line
        for secret in (secured.secrets.client_secret, WRONG):
            assert secret not in finished.output


def test_a_missing_pool_is_named(pipeline: SecuredPipeline) -> None:
    del pipeline.sections["schema_registry"]["bearer.auth.identity.pool.id"]
    finished = pipeline.run()
    assert finished.code in (1, 2)  # before confluent-kafka 2.16 it is required
    assert "bearer.auth.identity.pool.id" in finished.stderr


def test_an_unknown_authority_of_the_provider(
    pipeline: SecuredPipeline, registry: TokenRegistry, secured: Secured
) -> None:
    with OpenIdProvider(secured.stranger.server("registry_provider"), secured.secrets.client_secret) as stranger:
        pipeline.sections["schema_registry"][ENDPOINT] = stranger.url
        finished = pipeline.run()
    assert finished.code == 1
    for name in ("CERTIFICATE_VERIFY_FAILED", ENDPOINT, "ssl.ca.location"):
        assert name in finished.stderr


@pytest.mark.parametrize(
    ("removed", "added", "message"),
    [
        ("bearer.auth.logical.cluster", {}, "has no bearer.auth.logical.cluster; add it; the logical cluster is the"),
        ("bearer.auth.client.secret", {}, "has no bearer.auth.client.secret; add it"),
        ("bearer.auth.credentials.source", {}, "bearer.auth.credentials.source must be one of OAUTHBEARER, "),
        ("", {"bearer.auth.credentials.source": "SASL_OAUTHBEARER_INHERIT"}, "bearer.auth.credentials.source must be"),
        ("", {"bearer.auth.credentials.source": "STATIC_TOKEN"}, "has no bearer.auth.token; add it"),
        ("", {"bearer.auth.clientid": USER}, "bearer.auth.clientid: unknown with bearer.auth.credentials.source"),
        ("", {ENDPOINT: "provider.example/token"}, f"{ENDPOINT}: must begin with https:// or http://"),
        ("", {"basic.auth.user.info": "key:secret"}, "has basic.auth.user.info and bearer.auth.*; remove one"),
    ],
)
def test_what_is_missing_or_unknown(
    removed: str, added: dict[str, str], message: str, pipeline: SecuredPipeline
) -> None:
    section = {**pipeline.sections["schema_registry"], **added}
    pipeline.sections["schema_registry"] = {key: value for key, value in section.items() if key != removed}
    finished = pipeline.run()
    assert finished.code == 2
    assert f": [schema_registry] {message}" in finished.stderr


def test_a_token_that_expires(pipeline: SecuredPipeline, provider: OpenIdProvider, tmp_path: Path) -> None:
    """The client fetches another one."""
    provider.lifetime_s = 5
    with Client(pipeline.arguments(), tmp_path / "log") as client:
        client.wait_for_output("1 changes")
        before = provider.requests
        wait_until(lambda: not provider.accepts(provider.token_given), "the end of the token")
        write_by_new_schema(pipeline)
        wait_until(lambda: set(pipeline.labelling()) == {"ann", "bob"}, "the label")
        assert provider.requests > before
        assert "Schema Registry" not in client.output


def test_a_refusal_while_the_client_runs(
    pipeline: SecuredPipeline, provider: OpenIdProvider, registry: TokenRegistry, tmp_path: Path
) -> None:
    """The registry refuses the token, then the provider the client: the last cause is named."""
    with Client(pipeline.arguments(), tmp_path / "log", impatient(tmp_path)) as client:
        client.wait_for_output("1 changes")
        registry.refuses = True
        provider.secret = "the-new-one"
        write_by_new_schema(pipeline)
        assert client.wait() == 1
    last = client.output.splitlines()[-1]
    assert re.search(r"Schema Registry .*invalid_client.*bearer.auth.client.secret.*; refused for 1 s$", last)
    assert re.search(r"WARNING Schema Registry .*HTTP 401; check bearer.auth.scope", client.output)


def test_an_outage_of_the_provider(pipeline: SecuredPipeline, provider: OpenIdProvider, tmp_path: Path) -> None:
    """The client waits for it, however long it lasts."""
    provider.lifetime_s = 5
    with Client(pipeline.arguments(), tmp_path / "log", impatient(tmp_path)) as client:
        client.wait_for_output("1 changes")
        wait_until(lambda: not provider.accepts(provider.token_given), "the end of the token")
        provider.stop()
        try:
            write_by_new_schema(pipeline)
            client.wait_for_output(f"check [schema_registry] {ENDPOINT}; retrying until it is back")
        finally:
            provider.start()
        wait_until(lambda: set(pipeline.labelling()) == {"ann", "bob"}, "the label after the outage")
        client.wait_for_output("back after")
