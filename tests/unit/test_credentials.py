"""Advice about refused credentials follows the mechanism; the texts are librdkafka's."""

import pytest
from confluent_kafka import KafkaError

from classifier import credentials
from classifier.credentials import NO_TOKEN, is_certificate_refused
from classifier.errors import AccessDenied, BrokerUnavailable, classify

OIDC = {"sasl.mechanisms": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc"}
ASSERTION = {**OIDC, "sasl.oauthbearer.assertion.private.key.file": "x"}
CREDENTIALS = "check sasl.oauthbearer.client.id, sasl.oauthbearer.client.secret and sasl.oauthbearer.scope"
REFUSED = (
    'sasl_ssl://b:1/bootstrap: SASL authentication error: {"status":"invalid_token"} (after 304ms in state AUTH_REQ)'
)
ALERT = "ssl://b:1/bootstrap: Receive failed: error:0A{}:SSL routines::{}: SSL alert number {} (after 3ms)"


@pytest.mark.parametrize(
    ("text", "properties", "advice"),
    [
        (f'{NO_TOKEN}{{"error": "invalid_client"}}', OIDC, CREDENTIALS),
        (f'{NO_TOKEN}{{"error":"invalid_scope"}}', OIDC, CREDENTIALS),
        (
            f'{NO_TOKEN}{{"error": "invalid_grant"}}',
            ASSERTION,
            "check sasl.oauthbearer.assertion.* and sasl.oauthbearer.scope",
        ),
        (
            f"{NO_TOKEN}Must supply an unexpired token: now=1796130253748ms, exp=1796126553000ms",
            OIDC,
            credentials.CHECK_CLOCK,
        ),
        (
            f"{NO_TOKEN}error adding trust anchors from file: /etc/pki/tls/certs/ca-bundle.crt",
            OIDC,
            credentials.CHECK_AUTHORITIES,
        ),
        (
            f"{NO_TOKEN}SSL certificate OpenSSL verify result: self-signed certificate in certificate chain (19)",
            OIDC,
            credentials.CHECK_AUTHORITIES,
        ),
        (REFUSED, OIDC, credentials.CHECK_TOKEN.format("")[:20]),
        (REFUSED, {"sasl.mechanism": "oauthbearer"}, "sasl.oauthbearer.extensions (missing; "),
        (REFUSED, {**OIDC, "sasl.oauthbearer.extensions": "x"}, "sasl.oauthbearer.extensions, and the clock"),
        ("b:1/bootstrap: Authentication failed", {"sasl.mechanisms": "PLAIN"}, credentials.CHECK_PASSWORD),
        ("b:1/bootstrap: Authentication failed", {"sasl.mechanism": "SCRAM-SHA-512"}, credentials.CHECK_PASSWORD),
        ("b:1/bootstrap: Authentication failed", {}, credentials.CHECK_PASSWORD),
    ],
)
def test_refused_credentials(text: str, properties: dict[str, str], advice: str) -> None:
    found = classify(KafkaError(KafkaError._AUTHENTICATION, text), "reach the brokers", properties=properties)
    assert isinstance(found, AccessDenied)
    assert str(found).startswith(f"{text}; ")
    assert advice in str(found)


@pytest.mark.parametrize(
    "reason",
    [
        "Failed to connect to 127.0.0.1:43967 after 0 ms: Could not connect to server",
        "Could not resolve host: provider.example",
        "Operation timed out after 20000 milliseconds with 0 bytes received",
        "Empty reply from server",
        "Failed to parse JSON response at 0/18",
        'Expected JSON response with "access_token" field',
        "Server did not provide an error string",
        "not found",
    ],
)
def test_an_outage_of_the_provider(reason: str) -> None:
    error = KafkaError(KafkaError._AUTHENTICATION, f"{NO_TOKEN}{reason}")
    found = classify(error, "reach the brokers", properties=OIDC)
    assert isinstance(found, BrokerUnavailable)
    assert str(found) == f"cannot reach the brokers: {NO_TOKEN}{reason}; check sasl.oauthbearer.token.endpoint.url"


@pytest.mark.parametrize(
    "text",
    [
        ALERT.format("000412", "ssl/tls alert bad certificate", 42),
        ALERT.format("000416", "ssl/tls alert certificate unknown", 46),
        ALERT.format("000415", "sslv3 alert certificate expired", 45),
        ALERT.format("000414", "sslv3 alert certificate revoked", 44),
        ALERT.format("000413", "ssl/tls alert unsupported certificate", 43),
        ALERT.format("000418", "tlsv1 alert unknown ca", 48),
        ALERT.format("00045C", "tlsv13 alert certificate required", 116),
    ],
)
def test_a_refused_certificate_of_the_client(text: str) -> None:
    error = KafkaError(KafkaError._TRANSPORT, text)
    assert is_certificate_refused(text)
    for properties, advice in (
        ({}, "; the broker asks for a certificate of this client; add ssl.certificate.location and ssl.key.location,"),
        ({"ssl.keystore.location": "x"}, "; check ssl.keystore.location, that the broker trusts"),
        ({"ssl.certificate.pem": "x", "ssl.key.pem": "x"}, "; check ssl.certificate.pem, that the broker trusts"),
        ({"ssl.certificate.location": "x"}, "; check ssl.certificate.location, add ssl.key.location, that"),
    ):
        found = classify(error, "reach the brokers", properties=properties)
        assert isinstance(found, AccessDenied)
        assert advice in str(found)


@pytest.mark.parametrize("text", [ALERT.format("000410", "ssl/tls alert handshake failure", 40), "Connection reset"])
def test_other_broken_connections(text: str) -> None:
    assert isinstance(classify(KafkaError(KafkaError._TRANSPORT, text), "reach the brokers"), BrokerUnavailable)
