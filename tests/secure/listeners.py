"""Two more listeners of a broker: one takes tokens of an OpenID provider, the other certificates of clients."""

from pathlib import Path
from typing import NamedTuple

from local.services.kafka import KafkaBroker
from tests.secure.provider import AUDIENCE, ISSUER, OpenIdProvider

OAUTH = "org.apache.kafka.common.security.oauthbearer.OAuthBearer"


class Listeners(NamedTuple):
    """The ports of both listeners."""

    tokens: int
    certificates: int

    def added_to(self, properties: dict[str, str], pem: Path, ca: Path, provider: OpenIdProvider) -> dict[str, str]:
        """The properties of a broker with these listeners; `ca` signs the certificates of clients."""
        sasl = "listener.name.tokens.oauthbearer.sasl"
        tls = "listener.name.certificates.ssl"
        added = {
            "listeners": f"TOKENS://127.0.0.1:{self.tokens},CERTIFICATES://127.0.0.1:{self.certificates}",
            "listener.security.protocol.map": "TOKENS:SASL_SSL,CERTIFICATES:SSL",
        }
        return {
            **properties,
            **{name: f"{properties[name]},{value}" for name, value in added.items()},
            "listener.name.tokens.ssl.keystore.type": "PEM",
            "listener.name.tokens.ssl.keystore.location": str(pem),
            "listener.name.tokens.sasl.enabled.mechanisms": "OAUTHBEARER",
            f"{sasl}.jaas.config": f"{OAUTH}LoginModule required;",
            f"{sasl}.server.callback.handler.class": f"{OAUTH}ValidatorCallbackHandler",
            f"{sasl}.oauthbearer.jwks.endpoint.url": provider.jwks.as_uri(),
            f"{sasl}.oauthbearer.expected.audience": AUDIENCE,
            f"{sasl}.oauthbearer.expected.issuer": ISSUER,
            f"{tls}.keystore.type": "PEM",
            f"{tls}.keystore.location": str(pem),
            f"{tls}.truststore.type": "PEM",
            f"{tls}.truststore.location": str(ca),
            f"{tls}.client.auth": "required",
            f"{tls}.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
        }


class TokenBroker(KafkaBroker):
    """A broker that may read the keys of the provider from a file, which Java's clients refuse otherwise."""

    provider: OpenIdProvider

    def command(self) -> list[str]:
        """See Service."""
        java, *arguments = super().command()
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.provider.jwks.as_uri()}"
        return [java, allowed, *arguments]
