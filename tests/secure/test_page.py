"""The examples of docs/authentication.md label users, with the names of this broker, provider and registry."""

import configparser
from collections.abc import Callable

import pytest

from tests.secure.client_keys import PASSWORD, ClientKey
from tests.secure.conftest import USER, Secured, SecuredPipeline
from tests.secure.test_registry_tokens import TokenRegistry
from tests.support.client import ROOT
from tests.support.pages import Page
from tests.support.registry_proxy import RegistryProxy
from tests.support.waiting import wait_until

CLUSTERS = {True: ("lsrc-abc123", "pool-abc1"), False: ("registry", None)}  # and pools
EXAMPLES = [*Page(ROOT / "docs" / "authentication.md").blocks("ini")]


def sections_of(example: str, replaced: dict[str, str]) -> dict[str, dict[str, str]]:
    """The sections of an example, with other values."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.read_string(example)
    return {
        name: {key: replaced.get(value, value) for key, value in parser[name].items()} for name in parser.sections()
    }


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_users_are_labelled(
    number: int,
    make_secured: Callable[[], SecuredPipeline],
    secured: Secured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ca = str(secured.authority.ca)
    example = EXAMPLES[number]
    monkeypatch.setenv("CLIENT_SECRET", secured.secrets.client_secret)
    monkeypatch.setenv("KEY_PASSWORD", PASSWORD)
    monkeypatch.setenv("SSL_CERT_FILE", ca)  # what the system trusts
    key = ClientKey(secured.authority.server(USER)).encrypted()
    port = secured.listeners.tokens if "OAUTHBEARER" in example else secured.listeners.certificates
    server = secured.authority.server("registry_of_the_page")
    registry: RegistryProxy
    if "bearer.auth." in example:
        registry = TokenRegistry(secured.services.subjects.url, server)
        registry.provider = secured.provider
        registry.cluster, registry.pool = CLUSTERS["identity.pool.id" in example]
    else:
        registry = RegistryProxy(secured.services.subjects.url, server, ca=secured.authority.ca)
    values = {
        "https://registry.example": registry.url,
        "broker.example:9092": f"127.0.0.1:{port}",
        "https://provider.example/token": secured.provider.url,
        "/etc/ssl/company.pem": ca,
        "/etc/ssl/classifier.crt": key["ssl.certificate.location"],
        "/etc/ssl/classifier.key": key["ssl.key.location"],
    }
    pipeline = make_secured()
    found = sections_of(example, values)
    for section in ("consumer", "producer"):
        found[section].setdefault("ssl.ca.location", ca)
    pipeline.sections = found
    pipeline.prepare(secured)
    with registry:
        finished = pipeline.run()
    assert finished.code == 0, finished.output
    wait_until(lambda: set(pipeline.labelling()) == {"ann"}, "the label")
