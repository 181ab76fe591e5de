"""Tokens for a Schema Registry with OAuth, from an OpenID provider (OAuth 2.0 client credentials, RFC 6749, 4.4).

Confluent's client can fetch tokens itself, but then trusts only public authorities, and needs a scope and a lifetime
that a provider need not have. So it gets a function of this module, by `bearer.auth.credentials.source` CUSTOM.
"""

import time
from collections.abc import Mapping
from typing import Any

from classifier.config.properties import without_userinfo
from classifier.errors import ConfigError
from classifier.serialization.http import http_errors, http_libraries, is_url, trusted_authorities

SOURCE = "bearer.auth.credentials.source"
ENDPOINT = "bearer.auth.issuer.endpoint.url"
CLIENT_ID, CLIENT_SECRET, SCOPE = "bearer.auth.client.id", "bearer.auth.client.secret", "bearer.auth.scope"
CLUSTER, POOL = "bearer.auth.logical.cluster", "bearer.auth.identity.pool.id"
REQUIRED = (CLIENT_ID, CLIENT_SECRET, ENDPOINT, CLUSTER)
OWN = (SOURCE, *REQUIRED, SCOPE, POOL)
PROVIDER = "OAUTHBEARER"
TOKEN = "bearer.auth.token"
SOURCES = {  # with what each needs
    PROVIDER: REQUIRED,
    "OAUTHBEARER_AZURE_IMDS": (CLUSTER,),
    "STATIC_TOKEN": (TOKEN, CLUSTER),
}
TIMEOUT_SECONDS = 10.0
RENEWED_AFTER = 0.8  # of its lifetime, as Confluent's client and librdkafka renew it
CHECK_CLIENT = f"check [schema_registry] {CLIENT_ID}, {CLIENT_SECRET} and {SCOPE}"
CHECK_ENDPOINT = f"check [schema_registry] {ENDPOINT}"
CHECK_CERTIFICATE = f"{CHECK_ENDPOINT}, ssl.ca.location, and host and expiry date of the provider's certificate"


class TokenError(Exception):
    """Raised if the provider gives no token. `refused` is whether it refused the client, or the client the provider."""

    def __init__(self, cause: str, advice: str, *, refused: bool = False) -> None:
        super().__init__(cause)
        self.advice = advice
        self.refused = refused


class TokenProvider:
    """Fetches a token, and keeps it for RENEWED_AFTER of its lifetime."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._url = properties[ENDPOINT]
        self._credentials = properties[CLIENT_ID], properties[CLIENT_SECRET]
        self._form = {"grant_type": "client_credentials"}
        if SCOPE in properties:
            self._form["scope"] = properties[SCOPE]
        self._target = {name: properties[name] for name in (CLUSTER, POOL) if properties.get(name)}
        self._context = trusted_authorities(properties)
        self._token = ""
        self._renew_at = 0.0

    def fields(self, _: object = None) -> dict[str, str]:
        """Return what Confluent's client sends with a request: token, cluster and pool."""
        if not self._token or time.monotonic() >= self._renew_at:
            self._fetch()
        return {TOKEN: self._token, **self._target}

    def forget(self) -> None:
        """Fetch another token for the next request: the registry refused this one."""
        self._token = ""

    def _fetch(self) -> None:
        began = time.monotonic()
        answer = self._answer()
        token, lifetime = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not token:
            raise self._error("the answer has no access_token", CHECK_ENDPOINT)
        self._token = token
        # Without a lifetime the token is used until the registry refuses it.
        seconds = float(lifetime) if isinstance(lifetime, int | float) else float("inf")
        self._renew_at = began + RENEWED_AFTER * seconds

    def _answer(self) -> dict[str, Any]:
        """Return the provider's answer; TokenError if there is none, or if it is an error."""
        (library, *_) = http_libraries()
        try:
            with library.Client(verify=self._context, timeout=TIMEOUT_SECONDS) as client:
                response = client.post(self._url, data=self._form, auth=self._credentials)
        except http_errors("TransportError", "InvalidURL") as error:
            cause = str(error) or type(error).__name__
            if "CERTIFICATE" in cause:
                raise self._error(cause, CHECK_CERTIFICATE, refused=True) from None
            raise self._error(cause, CHECK_ENDPOINT) from None
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._error(f"HTTP {response.status_code}, and no JSON object", CHECK_ENDPOINT)
        if "error" in answer and response.status_code < 500:
            why = ": ".join(str(answer[name]) for name in ("error", "error_description") if name in answer)
            raise self._error(why, CHECK_CLIENT, refused=True)
        if response.status_code >= 300:
            raise self._error(f"HTTP {response.status_code}", CHECK_ENDPOINT)
        return answer

    def _error(self, cause: str, advice: str, *, refused: bool = False) -> TokenError:
        text = f"no token from {without_userinfo(self._url)} ({cause})".replace(self._credentials[1], "****")
        return TokenError(" ".join(text.split()), advice, refused=refused)


def provider_for(properties: Mapping[str, str]) -> TokenProvider | None:
    """Return the provider of the registry's tokens; None if it takes none, or none from an OpenID provider."""
    return TokenProvider(properties) if properties.get(SOURCE) == PROVIDER else None


def with_provider(properties: Mapping[str, object], provider: TokenProvider | None) -> dict[str, Any]:
    """Return the properties for Confluent's client, which calls `provider` for each request."""
    if provider is None:
        return dict(properties)
    others = {name: value for name, value in properties.items() if name not in OWN}
    custom = {"function": provider.fields, "config": {}}
    return {
        **others,
        SOURCE: "CUSTOM",
        **{f"bearer.auth.custom.provider.{name}": each for name, each in custom.items()},
    }


def check_bearer(properties: Mapping[str, str]) -> None:
    """Raise ConfigError for what is missing, or does not belong together, among bearer.auth.*."""
    given = [name for name in properties if name.startswith("bearer.auth.")]
    if not given:
        return
    source = properties.get(SOURCE)
    if source is None or source not in SOURCES:
        raise ConfigError(f"[schema_registry] {SOURCE} must be one of {', '.join(SOURCES)}; add or correct it")
    if "basic.auth.user.info" in properties:
        raise ConfigError("[schema_registry] has basic.auth.user.info and bearer.auth.*; remove one")
    if missing := [name for name in SOURCES[source] if not properties.get(name)]:
        cluster = (
            "; the logical cluster is the registry's id, lsrc-... on Confluent Cloud" if CLUSTER in missing else ""
        )
        raise ConfigError(f"[schema_registry] has no {' and no '.join(missing)}; add it{cluster}")
    if source != PROVIDER:
        return
    if unknown := [name for name in given if name not in OWN]:
        raise ConfigError(f"[schema_registry] {unknown[0]}: unknown with {SOURCE} = {source}; check the spelling")
    if not is_url(properties[ENDPOINT]):
        raise ConfigError(
            f"[schema_registry] {ENDPOINT}: must begin with https:// or http://, with a valid host and port"
        )


def token_properties(properties: Mapping[str, str]) -> str:
    """Return what to check if the registry refuses a token; empty for a registry without tokens."""
    if SOURCE not in properties:
        return ""
    if properties[SOURCE] == "STATIC_TOKEN":
        return TOKEN
    pool = POOL if properties.get(POOL) else f"{POOL} (missing)"
    names = f"{CLUSTER} and {pool}"
    return f"{SCOPE}, {names}" if properties[SOURCE] == PROVIDER else names
