"""One broker with TLS, passwords, tokens and access control, and registries behind TLS, for all tests here."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from local.services.process import free_port
from tests.secure.listeners import Listeners, TokenBroker
from tests.secure.permissions import AccessControl, needed
from tests.secure.provider import CLIENT, OpenIdProvider
from tests.support import configuration, inside
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.client import Finished
from tests.support.pipeline import Pipeline, Services, new_name
from tests.support.registry_proxy import RegistryProxy
from tests.support.tls import ELSEWHERE, Authority
from tests.support.topics import Topics

USER = CLIENT  # with each mechanism
SECOND_USER = "second"  # with the same password, for brokers where two users may be rotated
JAAS = "org.apache.kafka.common.security.plain.PlainLoginModule required"


class Secrets(NamedTuple):
    """Random in each run; no output may contain them."""

    password: str
    token: str
    client_secret: str


class Secured(NamedTuple):
    """Shared by all tests here; brokers and registries are named by their certificate: valid, expired, elsewhere."""

    services: Services
    secrets: Secrets
    authority: Authority
    stranger: Authority
    brokers: dict[str, str]
    registries: dict[str, RegistryProxy]
    listeners: Listeners
    provider: OpenIdProvider


def broker_properties(ports: dict[str, int], pems: dict[str, Path], password: str) -> dict[str, str]:
    """A plain-text listener for the tests, and a SASL_SSL listener for each certificate."""
    listeners = {"PLAINTEXT": free_port(), **{name.upper(): port for name, port in ports.items()}}
    ports["plain"] = listeners["PLAINTEXT"]
    protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **{name.upper(): "SASL_SSL" for name in pems}}
    properties = {
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items()),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Connections without a password are those of the broker and of the tests.
        "super.users": "User:ANONYMOUS",
    }
    for name, pem in pems.items():
        prefix = f"listener.name.{name}"
        properties |= {
            f"{prefix}.ssl.keystore.type": "PEM",
            f"{prefix}.ssl.keystore.location": str(pem),
            f"{prefix}.plain.sasl.jaas.config": f'{JAAS} user_{USER}="{password}" user_{SECOND_USER}="{password}";',
        }
    return properties


@pytest.fixture(scope="session")
def secured(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker for these tests, started once, and three proxies of the registry that all tests share."""
    directory = tmp_path_factory.mktemp("secured")
    authority = Authority(directory, "ours")
    stranger = Authority(directory, "stranger")
    pems = {
        "valid": authority.server("valid"),
        "expired": authority.server("expired", fresh=False),
        "elsewhere": authority.server("elsewhere", ELSEWHERE),
    }
    made = Secrets(secrets.token_urlsafe(20), f"key:{secrets.token_urlsafe(20)}", secrets.token_urlsafe(20))
    ports = {name: free_port() for name in pems}
    url = services.subjects.url
    with ExitStack() as stack:
        provider = stack.enter_context(OpenIdProvider(authority.server("provider"), made.client_secret))
        listeners = Listeners(free_port(), free_port())
        properties = broker_properties(ports, pems, made.password)
        properties = listeners.added_to(properties, pems["valid"], authority.ca, provider)
        broker = TokenBroker(directory / "kafka", ports["valid"], properties)
        broker.provider = provider
        stack.callback(broker.stop)
        broker.start()
        registries = {name: stack.enter_context(RegistryProxy(url, pem, made.token)) for name, pem in pems.items()}
        brokers = {name: f"127.0.0.1:{ports[name]}" for name in pems}
        ours = Services(Topics(f"127.0.0.1:{ports['plain']}"), services.subjects)
        ours.topics.wait_for_coordinator()
        yield Secured(ours, made, authority, stranger, brokers, registries, listeners, provider)


class SecuredPipeline(Pipeline):
    """A pipeline whose client uses TLS and passwords."""

    def secure(self, secured: Secured) -> None:
        """Configure SASL_SSL with PLAIN, and a registry with basic auth."""
        ca = str(secured.authority.ca)
        self.sections["schema_registry"] = {
            "url": secured.registries["valid"].url,
            "basic.auth.user.info": secured.secrets.token,
            "ssl.ca.location": ca,
        }
        for name in ("consumer", "producer"):
            self.sections[name] |= {
                "bootstrap.servers": secured.brokers["valid"],
                "security.protocol": "SASL_SSL",
                "sasl.mechanisms": "PLAIN",
                "sasl.username": USER,
                "sasl.password": secured.secrets.password,
                "ssl.ca.location": ca,
            }

    def use_tokens(self, secured: Secured) -> None:
        """Configure OAUTHBEARER with the tokens of the provider."""
        self._connect(
            secured,
            secured.listeners.tokens,
            {
                "security.protocol": "SASL_SSL",
                "sasl.mechanisms": "OAUTHBEARER",
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.client.id": CLIENT,
                "sasl.oauthbearer.client.secret": secured.secrets.client_secret,
                "sasl.oauthbearer.token.endpoint.url": secured.provider.url,
                "https.ca.location": str(secured.authority.ca),
            },
        )

    def use_certificate(self, secured: Secured, properties: Mapping[str, str]) -> None:
        """Configure TLS with a certificate of the client, which these properties name."""
        self._connect(secured, secured.listeners.certificates, {"security.protocol": "SSL", **properties})

    def prepare(self, secured: Secured) -> None:
        """Write the configuration file, grant the client its permissions, and write a row."""
        configuration.write(self.file, self.sections)
        AccessControl(secured.services.topics.bootstrap_servers, USER).grant(needed(self, self.source))
        self.write([Placed(0, Change(Op.INSERT, Row("ann", 1.0, 1)))])

    def run(self, *options: str) -> Finished:
        """Run the client with the configuration as it is now, by default to the end."""
        configuration.write(self.file, self.sections)
        return inside.run(self.arguments(*(options or ("--until-end",))))

    def _connect(self, secured: Secured, port: int, properties: Mapping[str, str]) -> None:
        for name in ("consumer", "producer"):
            kept = {
                key: value
                for key, value in self.sections[name].items()
                if not key.startswith(("sasl.", "ssl.", "https."))
            }
            server = {"bootstrap.servers": f"127.0.0.1:{port}", "ssl.ca.location": str(secured.authority.ca)}
            self.sections[name] = {**kept, **server, **properties}


@pytest.fixture
def make_secured(secured: Secured, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], SecuredPipeline]:
    """Make pipelines with new topics, a new group and the secured configuration."""

    def make() -> SecuredPipeline:
        pipeline = SecuredPipeline(secured.services, tmp_path, new_name(request.node.name))
        pipeline.secure(secured)
        configuration.write(pipeline.file, pipeline.sections)
        return pipeline

    return make
