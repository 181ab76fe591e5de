"""How Kafka clients authenticate: what does not work here is refused at the start, and authorities of https are found.

Guarantee: no message contains a value, except the name of a mechanism.
"""

import contextlib
import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from classifier.config.properties import KERBEROS
from classifier.credentials import mechanism, uses_provider

# Files in which systems keep the certificates of public authorities.
AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS
)
WITH_A_PROVIDER = (
    "sasl.oauthbearer.method = oidc, sasl.oauthbearer.client.id, sasl.oauthbearer.client.secret and"
    " sasl.oauthbearer.token.endpoint.url"
)
MSK_IAM = "AWS_MSK_IAM exists only for Java; Amazon MSK also takes SCRAM-SHA-512 and client certificates"
LOGIN_MODULES = {  # a part of the value of sasl.jaas.config: what to write instead
    "OAuthBearerLoginModule": f"write {WITH_A_PROVIDER}",
    "IAMLoginModule": MSK_IAM,
    "Krb5LoginModule": f"write sasl.mechanisms = GSSAPI; {KERBEROS}",
}
# In the text of an error, if a key could not be read.
KEY_NOT_READ = ("ssl.key.location failed", "ssl.key.pem failed", "PEM lib", "BAD_PASSWORD_READ", "BAD_DECRYPT")
ASSERTION_KEYS = ("sasl.oauthbearer.assertion.private.key.file", "sasl.oauthbearer.assertion.private.key.pem")
PASSPHRASE = "sasl.oauthbearer.assertion.private.key.passphrase"
UNSECURED = "enable.sasl.oauthbearer.unsecure.jwt"
TRUE = ("true", "t", "1")  # as librdkafka reads a boolean


def authentication_problem(section: str, properties: Mapping[str, str]) -> str:
    """Return why a section of Kafka cannot authenticate, and what works instead; empty if it may."""
    jaas = properties.get("sasl.jaas.config", "")
    for module, remedy in LOGIN_MODULES.items():
        if module in jaas:
            return f"[{section}] sasl.jaas.config is a Java client property; {remedy}"
    if mechanism(properties) == "AWS_MSK_IAM" or "msk.auth.iam" in properties.get(
        "sasl.client.callback.handler.class", ""
    ):
        return f"[{section}] sasl.mechanisms: {MSK_IAM}"
    unsecured = properties.get(UNSECURED, "").lower() in TRUE
    if mechanism(properties) == "OAUTHBEARER" and not uses_provider(properties) and not unsecured:
        return f"[{section}] sasl.mechanisms = OAUTHBEARER has no source of tokens; add {WITH_A_PROVIDER}"
    for name in ASSERTION_KEYS:  # librdkafka would ask for its password on the terminal
        if is_encrypted(name, properties) and not properties.get(PASSPHRASE):
            return f"[{section}] {name} is encrypted; add {PASSPHRASE}"
    return ""


def key_problem(properties: Mapping[str, str], text: str) -> str:
    """Return why the key of a client's certificate cannot be used; empty if that is not what a library's text says.

    OpenSSL's texts are those of librdkafka and of Python's ssl module.
    """
    if "key values mismatch" in text or "KEY_VALUES_MISMATCH" in text:
        return f"{key_of(properties)} is not the key of the certificate; choose the two that belong together"
    if "no certificate assigned" in text:
        return "ssl.certificate.location is missing; add it, or remove the key"
    if "ssl.keystore.location" in text and "mac verify failure" in text:
        return "ssl.keystore.password does not open ssl.keystore.location; correct it"
    if not any(sign in text for sign in KEY_NOT_READ) or not is_encrypted(key_of(properties), properties):
        return ""
    if properties.get("ssl.key.password"):
        return f"ssl.key.password does not decrypt {key_of(properties)}; correct it"
    return f"{key_of(properties)} is encrypted; add ssl.key.password"


def key_of(properties: Mapping[str, str]) -> str:
    """Return the property with the key; the file of a certificate may contain it, too."""
    return next(
        (name for name in ("ssl.key.location", "ssl.key.pem") if name in properties), "ssl.certificate.location"
    )


def is_encrypted(name: str, properties: Mapping[str, str]) -> bool:
    """Whether a property has an encrypted key (PEM)."""
    key = properties.get(name, "")
    is_path = name.endswith((".location", ".file"))
    with contextlib.suppress(OSError, ValueError):  # such as a name too long, or with a null character
        return "ENCRYPTED" in (Path(key).read_text(encoding="latin-1") if is_path and key else key)
    return False


def https_authorities(properties: Mapping[str, str]) -> dict[str, str]:
    """Return https.ca.location for a client that takes tokens over https, unless the file sets it.

    librdkafka contains an HTTP library that looks for authorities in one place only, /etc/pki/tls/certs/ca-bundle.crt,
    which most systems do not have. It needs that file even for a directory, and for the value 'probe'.
    """
    is_set = properties.get("https.ca.location", "probe") != "probe" or "https.ca.pem" in properties
    if is_set or not uses_provider(properties):
        return {}
    candidates = (os.environ.get("SSL_CERT_FILE"), *AUTHORITIES, ssl.get_default_verify_paths().cafile)
    found = next((path for path in candidates if path and os.path.isfile(path)), None)  # noqa: PTH113  as given
    return {"https.ca.location": found} if found else {}
