"""Refused credentials and certificates of Kafka clients: which properties to check, by what librdkafka reports.

Guarantee: advice contains names of properties only, never a value.
"""

import re
from collections.abc import Mapping

Properties = Mapping[str, object]

NO_TOKEN = "Failed to acquire SASL OAUTHBEARER token: "
# What a provider answers, or how its certificate or token is refused. Any other reason is an outage of the provider.
REFUSED_BY_PROVIDER = '"error"'  # RFC 6749, section 5.2
EXPIRED_TOKEN = "unexpired token"
UNTRUSTED_PROVIDER = re.compile(r"certificate|trust anchors|SSL cert", re.IGNORECASE)
# Alerts of TLS by which a broker refuses the certificate of the client, or asks for one (RFC 8446, section 6.2).
CLIENT_CERTIFICATE_REFUSED = re.compile(
    r"alert (?:bad certificate|certificate (?:required|unknown|expired|revoked)|unknown ca|unsupported certificate)"
)
SERVER_CERTIFICATE_REFUSED = "certificate verify failed"

CHECK_SERVER_CERTIFICATE = (
    "check that ssl.ca.location holds the authority that signed the broker's certificate, that the certificate is for"
    " the host in bootstrap.servers, and that it has not expired"
)
CHECK_CLIENT_CERTIFICATE = (
    "the broker refused the certificate of this client; check {}, that the broker trusts the authority that signed it,"
    " and that it has not expired"
)
ADD_CLIENT_CERTIFICATE = (
    "the broker asks for a certificate of this client; add ssl.certificate.location and ssl.key.location, or"
    " ssl.keystore.location"
)
CHECK_PASSWORD = "check security.protocol, sasl.mechanisms, sasl.username and sasl.password"
CHECK_TOKEN = (
    "check sasl.mechanisms, what the brokers expect of a token (audience and issuer, so sasl.oauthbearer.scope and"
    " sasl.oauthbearer.token.endpoint.url), {}, and the clock of this machine"
)
EXTENSIONS = "sasl.oauthbearer.extensions"
CHECK_CLOCK = "the token of the provider has expired already; check the clock of this machine"
CHECK_AUTHORITIES = (
    "check that https.ca.location, a file in PEM, holds the authority that signed the provider's certificate, that the"
    " certificate is for the host in sasl.oauthbearer.token.endpoint.url, and that it has not expired"
)
ENDPOINT = "sasl.oauthbearer.token.endpoint.url"
CHECK_ENDPOINT = "check sasl.oauthbearer.token.endpoint.url"
CHECK_CLIENT = "check sasl.oauthbearer.client.id, sasl.oauthbearer.client.secret and sasl.oauthbearer.scope"
CHECK_ASSERTION = "check sasl.oauthbearer.assertion.* and sasl.oauthbearer.scope"
CLIENT_CERTIFICATE = ("ssl.certificate.location", "ssl.certificate.pem", "ssl.keystore.location")
CLIENT_KEY = ("ssl.key.location", "ssl.key.pem")


def mechanism(properties: Properties) -> str:
    """Return the SASL mechanism in upper case; librdkafka's default if none is set."""
    return str(properties.get("sasl.mechanisms", properties.get("sasl.mechanism", "GSSAPI"))).upper()


def uses_provider(properties: Properties) -> bool:
    """Whether the client takes tokens from an OpenID provider."""
    method = str(properties.get("sasl.oauthbearer.method", "")).lower()
    return mechanism(properties) == "OAUTHBEARER" and method == "oidc"


def provider_is_away(text: str) -> bool:
    """Whether librdkafka got no token, and neither credentials nor a certificate were refused."""
    refused = REFUSED_BY_PROVIDER in text or EXPIRED_TOKEN in text or UNTRUSTED_PROVIDER.search(text)
    return text.startswith(NO_TOKEN) and not refused


def is_certificate_refused(text: str) -> bool:
    """Whether a broker refused the client's certificate, or the client that of a broker."""
    return SERVER_CERTIFICATE_REFUSED in text or CLIENT_CERTIFICATE_REFUSED.search(text) is not None


def certificate_advice(text: str, properties: Properties) -> str:
    """Return what to check about a refused certificate."""
    if not CLIENT_CERTIFICATE_REFUSED.search(text):
        return CHECK_SERVER_CERTIFICATE
    given = [name for name in (*CLIENT_CERTIFICATE, *CLIENT_KEY) if name in properties]
    if not given:
        return ADD_CLIENT_CERTIFICATE
    needs_key = given[0] != "ssl.keystore.location" and not set(given) & set(CLIENT_KEY)
    return CHECK_CLIENT_CERTIFICATE.format(given[0] + (", add ssl.key.location" if needs_key else ""))


def authentication_advice(text: str, properties: Properties) -> str:
    """Return what to check about refused credentials, or a token that could not be obtained."""
    if text.startswith(NO_TOKEN):
        return provider_advice(text, properties)
    if mechanism(properties) != "OAUTHBEARER":
        return CHECK_PASSWORD
    missing = "" if EXTENSIONS in properties else " (missing; Confluent Cloud needs logicalCluster and identityPoolId)"
    return CHECK_TOKEN.format(EXTENSIONS + missing)


def where_to_look(text: str, properties: Properties) -> str:
    """Return the properties of a section that a failed first connection is about, besides those of the advice."""
    if text.startswith(NO_TOKEN):
        return ""
    if uses_provider(properties):  # librdkafka does not report that a provider only answers with errors of its own
        return f" bootstrap.servers, security.protocol and {ENDPOINT}"
    return " bootstrap.servers and security.protocol"


def provider_advice(text: str, properties: Properties) -> str:
    """Return what to check if there is no token."""
    if EXPIRED_TOKEN in text:
        return CHECK_CLOCK
    if REFUSED_BY_PROVIDER in text:
        return CHECK_ASSERTION if any("oauthbearer.assertion." in name for name in properties) else CHECK_CLIENT
    return CHECK_AUTHORITIES if UNTRUSTED_PROVIDER.search(text) else CHECK_ENDPOINT
