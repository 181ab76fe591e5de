"""Mechanisms that do not work here are refused at the start, and the authorities of https are found."""

from pathlib import Path

import pytest

from classifier.config import authentication
from classifier.config.authentication import WITH_A_PROVIDER, authentication_problem, https_authorities, key_problem
from classifier.config.properties import KERBEROS

OIDC = {"sasl.mechanisms": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc"}
JAAS = "org.apache.kafka.common.security.{} required;"
CALLBACK = "software.amazon.msk.auth.iam.IAMClientCallbackHandler"
ASSERTION = "sasl.oauthbearer.assertion.private.key"
NO_SOURCE = f"sasl.mechanisms = OAUTHBEARER has no source of tokens; add {WITH_A_PROVIDER}"


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        ({"sasl.mechanisms": "OAUTHBEARER"}, NO_SOURCE),
        ({"sasl.mechanism": "oauthbearer"}, NO_SOURCE),
        ({**OIDC, "sasl.oauthbearer.method": "default"}, NO_SOURCE),
        ({"sasl.mechanisms": "OAUTHBEARER", "enable.sasl.oauthbearer.unsecure.jwt": "false"}, NO_SOURCE),
        ({"sasl.mechanisms": "AWS_MSK_IAM"}, f"sasl.mechanisms: {authentication.MSK_IAM}"),
        ({"sasl.client.callback.handler.class": CALLBACK}, f"sasl.mechanisms: {authentication.MSK_IAM}"),
        (
            {"sasl.jaas.config": JAAS.format("oauthbearer.OAuthBearerLoginModule")},
            f"sasl.jaas.config is a Java client property; write {WITH_A_PROVIDER}",
        ),
        (
            {"sasl.jaas.config": "software.amazon.msk.auth.iam.IAMLoginModule required;"},
            f"sasl.jaas.config is a Java client property; {authentication.MSK_IAM}",
        ),
        (
            {"sasl.jaas.config": "com.sun.security.auth.module.Krb5LoginModule required;"},
            f"sasl.jaas.config is a Java client property; write sasl.mechanisms = GSSAPI; {KERBEROS}",
        ),
    ],
)
def test_what_does_not_work(properties: dict[str, str], problem: str) -> None:
    assert authentication_problem("producer", properties) == f"[producer] {problem}"


@pytest.mark.parametrize(
    "properties",
    [
        {},
        OIDC,
        {"sasl.mechanism": "OAuthBearer", "sasl.oauthbearer.method": "OIDC"},
        {"sasl.mechanisms": "OAUTHBEARER", "enable.sasl.oauthbearer.unsecure.jwt": "True"},
        {"sasl.mechanisms": "PLAIN"},
        {"sasl.mechanisms": "SCRAM-SHA-512", "sasl.oauthbearer.method": "default"},
        {"sasl.mechanisms": "GSSAPI"},  # librdkafka itself refuses it, unless it was built with it
        {"sasl.jaas.config": JAAS.format("plain.PlainLoginModule")},  # refused by its name
    ],
)
def test_what_may_work(properties: dict[str, str]) -> None:
    assert authentication_problem("consumer", properties) == ""


def test_the_authorities_of_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here.pem", tmp_path / "there.pem"
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setattr(authentication, "AUTHORITIES", (str(here), str(there)))
    there.touch()
    assert https_authorities(OIDC) == {"https.ca.location": str(there)}
    here.touch()
    assert https_authorities({**OIDC, "https.ca.location": "probe"}) == {"https.ca.location": str(here)}
    monkeypatch.setenv("SSL_CERT_FILE", str(there))
    assert https_authorities(OIDC) == {"https.ca.location": str(there)}
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    assert https_authorities(OIDC) == {"https.ca.location": str(here)}
    for given in ({**OIDC, "https.ca.location": "x"}, {**OIDC, "https.ca.pem": "x"}, {"sasl.mechanisms": "PLAIN"}, {}):
        assert https_authorities(given) == {}


def test_a_system_without_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setattr(authentication, "AUTHORITIES", ())
    monkeypatch.setattr("ssl.get_default_verify_paths", lambda: type("Paths", (), {"cafile": None}))
    assert https_authorities(OIDC) == {}


@pytest.mark.parametrize("text", ["ssl.ca.location failed: PEM", "no such property", ""])
def test_other_problems_are_not_about_the_key(text: str) -> None:
    assert key_problem({"ssl.key.pem": "-----BEGIN ENCRYPTED PRIVATE KEY-----"}, text) == ""


def test_a_key_that_cannot_be_read_is_not_called_encrypted(tmp_path: Path) -> None:
    text = "ssl.key.location failed: error:0A080002:SSL routines::system lib"
    assert key_problem({"ssl.key.location": str(tmp_path / "missing")}, text) == ""


def test_an_encrypted_key_of_assertions(tmp_path: Path) -> None:
    """librdkafka would ask for its password on the terminal."""
    key = "-----BEGIN ENCRYPTED PRIVATE KEY-----"
    file = tmp_path / "key.pem"
    file.write_text(key, encoding="utf-8")
    passphrase = "sasl.oauthbearer.assertion.private.key.passphrase"
    for name, value in ((f"{ASSERTION}.file", str(file)), (f"{ASSERTION}.pem", key)):
        expected = f"[consumer] {name} is encrypted; add {passphrase}"
        assert authentication_problem("consumer", {**OIDC, name: value}) == expected
        assert authentication_problem("consumer", {**OIDC, name: value, passphrase: ""}) == expected
        assert authentication_problem("consumer", {**OIDC, name: value, passphrase: "x"}) == ""
    for name, value in ((f"{ASSERTION}.file", str(tmp_path / "missing")), (f"{ASSERTION}.pem", "-----BEGIN RSA")):
        assert authentication_problem("consumer", {**OIDC, name: value}) == ""
