"""The Schema Registry: schemas by id, GUID and subject. Once it has answered, an outage is waited for."""

import argparse
import contextlib
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import fastavro

from classifier.config.argument_types import seconds
from classifier.config.authentication import key_problem
from classifier.config.properties import unknown_property, without_userinfo
from classifier.errors import (
    AccessDenied,
    ClassifierError,
    ConfigError,
    RecordError,
    RegistryUnavailable,
    SchemaError,
    SchemaMissing,
)
from classifier.kafka.diagnosis import Refusals
from classifier.outage import Outage, pause
from classifier.serialization.bearer import (
    ENDPOINT,
    POOL,
    TokenError,
    check_bearer,
    provider_for,
    token_properties,
    with_provider,
)
from classifier.serialization.http import (
    CA_PROPERTY,
    CREDENTIALS_PROPERTY,
    check_transport,
    http_errors,
    is_url,
    other_settings_to_check,
)
from classifier.serialization.schema import Types, min_size, qualified, schema_problem, self_contained
from classifier.stop import StopRequest

T = TypeVar("T")

log = logging.getLogger("user_classifier")

REGISTRY_TIMING = {"timeout": 10.0, "max.retries": 0}  # seconds; retries are made here, not by the library
NUMERIC_PROPERTIES = {
    "timeout",
    "max.retries",
    "retries.wait.ms",
    "retries.max.wait.ms",
    "cache.capacity",
    "cache.latest.ttl.sec",
}
UNREGISTERED_ID = 2**32 - 1  # for ReadOnlyRegistry; no registry assigns it
NOT_FOUND_CODES = range(40400, 40500)  # of a registry; another 404 comes from something else, or from a wrong path
# A registry may lag behind the one that assigned an id, as a follower behind its leader. After so many more requests,
# RETRY_SECONDS apart (half a minute), an unknown id does not exist.
MAX_REPEATED_REQUESTS = 60
GUID_ADVICE = (  # for a registry without GUIDs, such as Confluent's before version 8
    "; to put the id into the value, set value.schema.id.serializer (and key.schema.id.serializer) of the producer to"
    " io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer"
)
# What to do if a registry refuses to register a schema, by HTTP status.
REGISTRATION_ADVICE = {
    402: "its limit of schemas may be reached; delete subjects that nobody needs, or raise the limit",
    403: "grant the permission to write this subject, see docs/configuration.md, Permissions",
    409: (
        "the compatibility of the subject excludes this schema; set it to NONE, delete the subject, or choose another"
        " output with -o"
    ),
    422: "if the reason is a rule or a limit of the registry, change it, or choose another output with -o",
}
NOT_PERMITTED_CODE = 42205  # a registry or a subject in one of these modes takes no new schema
MODES_WITHOUT_REGISTRATION = {"READONLY", "READONLY_OVERRIDE", "IMPORT"}
MODE_ADVICE = "set the mode of the registry, or of this subject, to READWRITE"
CERTIFICATE_ADVICE = f"check {CA_PROPERTY}, and host and expiry date of the registry's certificate"
SERVER_ADVICE = "see the log of the registry, or of a proxy in front of it"
SCHEMA_ERRORS = (ValueError, KeyError, TypeError, AttributeError, RecursionError)  # raised for an invalid schema


class Subject(NamedTuple):
    """The latest version of a subject."""

    schema_id: int
    schema: Any  # self-contained


class SchemaRegistry:
    """Schemas by id, GUID and subject. Once it has answered, requests are retried through an outage."""

    def __init__(self, properties: Mapping[str, str], stop: StopRequest) -> None:
        # Imported here, because it takes 0.3 s that --help and a wrong configuration file need not wait for.
        with warnings.catch_warnings(record=True):  # before 2.16, deprecation warnings of a dependency
            from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
            from confluent_kafka.schema_registry.error import OAuthTokenError, SchemaRegistryError

        self._schema_type = Schema
        self._registry_error = SchemaRegistryError
        self._token_errors = (TokenError, OAuthTokenError)
        self._network_errors = http_errors("TransportError")
        # Raised by Confluent's client if the response is not that of a registry, but a web page or a proxy's error.
        self._response_errors: tuple[type[Exception], ...] = (
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
            *http_errors("RequestError", "InvalidURL"),
        )
        self._properties = properties
        self._stop = stop
        self._answered = False
        self._nonexistent: set[str] = set()  # ids, GUIDs and versions that stayed unknown for MAX_REPEATED_REQUESTS
        self._url = without_userinfo(properties["url"])
        self.outage = Outage(f"Schema Registry {self._url}")
        self.on_wait: Callable[[], object] = lambda: None  # called after each failed request, as that of `Kafka`
        self._refusals = Refusals()  # since the last answer
        if not all(is_url(url.strip()) for url in properties["url"].split(",")):
            raise ConfigError(unknown_property("schema_registry", ["url"], "url"))
        check_transport(properties)
        check_bearer(properties)
        self._client = self._make_client(SchemaRegistryClient, properties)
        self._connections = contextlib.ExitStack()
        self._connections.push(self._client)  # has a method close() only since confluent-kafka 2.16

    def _make_client(self, make: Callable[[dict[str, Any]], Any], properties: Mapping[str, str]) -> Any:
        """Return Confluent's client; raise ConfigError with the property that it refuses."""
        try:
            self._provider = provider_for(properties)
            # An encrypted key without a password: OpenSSL would ask for it on the terminal.
            no_question = {"ssl.key.password": ""} if "ssl.certificate.location" in properties else {}
            given = {**REGISTRY_TIMING, **no_question, **properties, **numeric_properties(properties)}
            return make(with_provider(given, self._provider))
        except (ValueError, TypeError) as error:
            raise ConfigError(unknown_property("schema_registry", properties, str(error))) from None
        except OSError as error:
            if problem := key_problem(properties, str(error)):
                raise ConfigError(f"[schema_registry] {problem}") from None
            files = " ".join(name for name in properties if name.endswith(".location"))
            raise ConfigError(unknown_property("schema_registry", properties, files)) from None

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def by_id(self, schema_id: int) -> Any:
        """Return the schema of an id, self-contained; SchemaMissing if there is none."""
        name = f"schema id {schema_id}"
        found = self._find(name, lambda: self._client.get_schema(schema_id))
        if found is None:
            raise SchemaMissing(f"schema id {schema_id} is not in the Schema Registry")
        return self._parse(found, name)

    def by_guid(self, guid: str) -> Any:
        """Return the schema of a GUID, self-contained; SchemaMissing if there is none."""
        name = f"schema guid {guid}"
        missing = SchemaMissing(f"schema guid {guid} is not in the Schema Registry{GUID_ADVICE}")
        found = self._find(name, lambda: self._get_by_guid(guid, missing))
        if found is None:
            raise missing
        return self._parse(found, name)

    def newest(self, subject: str) -> Subject | None:
        """Return the latest version of a subject; None if there is no such subject."""
        found = self._call(lambda: self._client.get_latest_version(subject))
        if found is None or found.schema_id is None:
            return None
        return Subject(found.schema_id, self._parse(found.schema, f"subject {subject}"))

    def subjects(self) -> list[str] | None:
        """Return all subjects; None without the permission to list them."""
        try:
            return self._call(self._client.get_subjects)
        except AccessDenied:
            return None

    def register(self, subject: str, schema: Mapping[str, Any]) -> Subject:
        """Register a schema, unless it is registered already; return it with its id."""
        wanted = self._schema_type(json.dumps(schema), "AVRO")
        schema_id = self._call(lambda: self._register(subject, wanted))
        if schema_id is None:
            raise self._error("HTTP 404", SchemaError)
        return Subject(schema_id, fastavro.parse_schema(dict(schema)))

    def mode(self, subject: str) -> str | None:
        """Return the mode of a subject, or that of the registry; None if the registry does not report it.

        READONLY_OVERRIDE of the registry takes precedence over the mode of a subject.
        """
        found = self._one_answer(self._client.get_global_mode)
        if found == "READONLY_OVERRIDE":
            return found
        return self._one_answer(lambda: self._client.get_mode(subject)) or found

    def _one_answer(self, call: Callable[[], str]) -> str | None:
        """Return the answer to an optional request, which is not repeated; None if it fails."""
        with contextlib.suppress(self._registry_error, *self._network_errors, *self._response_errors):
            return call()
        return None

    def _register(self, subject: str, schema: Any) -> int:
        """Return the id of a schema; raise the client's error if the registry refuses to register it."""
        try:
            return int(self._client.register_schema(subject, schema))
        except self._registry_error as error:
            status = error.http_status_code
            advice = MODE_ADVICE if error.error_code == NOT_PERMITTED_CODE else REGISTRATION_ADVICE.get(status)
            if advice is None:
                raise
            kind = AccessDenied if status == 403 else SchemaError
            refused = f"cannot register subject {subject}: HTTP {status} ({error.error_message})"
            raise kind(f"Schema Registry {self._url}: {refused}; {advice}") from None

    def _get_by_guid(self, guid: str, missing: RecordError) -> Any:
        """Return the registry's answer; raise `missing` if the registry has no GUIDs.

        Such a registry has no such path, and answers 404 without a code of its own. So does a proxy during an outage.
        Another request tells the two apart: it waits for the end of an outage.
        """
        for _ in range(2):
            try:
                return self._client.get_schema_by_guid(guid)
            except self._registry_error as error:
                if error.http_status_code != 404 or error.error_code in NOT_FOUND_CODES:
                    raise
            self.subjects()
        raise missing

    def _parse(self, schema: Any, name: str) -> Any:
        """Return a registered schema, self-contained; RecordError says why it cannot be used."""
        types: Types = {}
        try:
            self._collect_references(schema, name, types, set())
            found = self_contained(qualified(parse_json(schema, name), types), types, set())
            min_size(found, {})
        except SCHEMA_ERRORS as error:
            raise RecordError(f"{name} is not a usable Avro schema ({schema_problem(error)})") from None
        return found

    def _collect_references(self, schema: Any, name: str, types: Types, seen: set[str]) -> None:
        """Add the types of referenced schemas to `types`, deepest first. As in Java, the first of one name counts."""
        for each in schema.references or ():
            if each.name in seen:
                continue
            seen.add(each.name)
            where = f"{name} refers to {each.name}, subject {each.subject} version {each.version}, which"
            found = self._version(each.subject, each.version)
            if found is None:
                raise RecordError(f"{where} is not in the Schema Registry")
            self._collect_references(found.schema, where, types, seen)
            qualified(parse_json(found.schema, where), types)

    def _version(self, subject: str, version: int) -> Any:
        """Return a version of a subject, even a deleted one; None if it never existed."""
        name = f"subject {subject} version {version}"
        return self._find(name, lambda: self._client.get_version(subject, version, deleted=True))

    def _find(self, name: str, call: Callable[[], T]) -> T | None:
        """Return the answer to a request, None if `name` does not exist.

        The first time that `name` is unknown, repeat the request up to MAX_REPEATED_REQUESTS times.
        """
        found = self._call(call)
        if found is not None or name in self._nonexistent:
            return found
        log.warning("Schema Registry %s: %s is unknown; asking again for half a minute", self._url, name)
        for _ in range(MAX_REPEATED_REQUESTS):
            if self._stop.requested:
                raise self._error(f"{name} is unknown", RegistryUnavailable)
            pause()
            self.on_wait()
            found = self._call(call)
            if found is not None:
                return found
        self._nonexistent.add(name)
        return None

    def _call(self, call: Callable[[], T]) -> T | None:
        """Return the answer to a request, None for 'not found'; retry through an outage, raise other errors."""
        while True:
            try:
                answer = call()
            except self._registry_error as error:
                if error.http_status_code == 404 and error.error_code in NOT_FOUND_CODES:
                    answer = None
                else:
                    self._handle_status(error.http_status_code, error.error_message)
                    continue
            except self._network_errors as error:
                self._wait_for_connection(f"no answer ({error or type(error).__name__})")
                continue
            except self._token_errors as error:
                self._wait_for_token(error)
                continue
            except self._response_errors as error:
                if POOL in str(error):  # required before confluent-kafka 2.16
                    raise ConfigError(f"[schema_registry] has no {POOL}; add it, or upgrade confluent-kafka") from None
                self._wait("the response is not that of a Schema Registry", SERVER_ADVICE)
                continue
            self._answered = True
            self.outage.note_recovery()
            self._refusals = Refusals()
            return answer

    def _handle_status(self, status: int, message: str) -> None:
        """Raise the error of an HTTP status; wait if the status may pass."""
        credentials = token_properties(self._properties) or CREDENTIALS_PROPERTY
        if status == 403 or (status == 401 and not self._answered):
            raise AccessDenied(
                f"Schema Registry {self._url}: refused (HTTP {status}); check [schema_registry] {credentials}"
            )
        if status == 401:  # accepted before
            if self._provider:
                self._provider.forget()
            self._wait(f"HTTP {status}", f"check {credentials}", refused=True)
            return
        if status == 404 and not self._answered:  # later, a 404 without a registry's code comes from a proxy
            raise self._error("HTTP 404", SchemaError)
        if status < 500 and status not in (404, 429):
            raise self._error(f"HTTP {status} ({message})", SchemaError)
        self._wait(f"HTTP {status}", SERVER_ADVICE)

    def _wait_for_token(self, error: Exception) -> None:
        """Wait for a provider that is away; raise AccessDenied if it refuses, in mid-run after a minute."""
        advice = error.advice if isinstance(error, TokenError) else f"check [schema_registry] {ENDPOINT}"
        refused = isinstance(error, TokenError) and error.refused
        cause = " ".join(str(getattr(error, "message", error)).split())  # of Confluent's client it has several lines
        if not self._answered or self._stop.requested:
            kind = AccessDenied if refused else RegistryUnavailable
            raise kind(f"Schema Registry {self._url}: {cause}; {advice}")
        self._wait(cause, advice, refused=refused)

    def _wait_for_connection(self, cause: str) -> None:
        if "CERTIFICATE" in cause:
            self._wait(cause, CERTIFICATE_ADVICE, refused=True)
        else:
            self._wait(cause)

    def _wait(self, cause: str, advice: str = "", *, refused: bool = False) -> None:
        """Log why a request failed, if that is new, and sleep; raise AccessDenied after a minute of refusals."""
        if not self._answered or self._stop.requested:
            raise self._error(cause, RegistryUnavailable)
        if refused:
            self._refusals.note(f"{cause}; {advice}", "schema_registry")
            self._refusals.check(self.outage.service)
        self.outage.wait(cause, advice)
        self.on_wait()

    def _error(self, cause: str, kind: type[ClassifierError]) -> ClassifierError:
        others = other_settings_to_check(self._properties, cause)
        return kind(f"Schema Registry {self._url}: {cause}; check [schema_registry] url{others}")


class ReadOnlyRegistry(SchemaRegistry):
    """A registry that is not written to: a schema to register is kept in memory, under an id of its own."""

    _unregistered: Any = None

    def register(self, subject: str, schema: Mapping[str, Any]) -> Subject:
        """Keep a schema."""
        self._unregistered = fastavro.parse_schema(dict(schema))
        return Subject(UNREGISTERED_ID, self._unregistered)

    def by_id(self, schema_id: int) -> Any:
        """Return the schema of an id, also the one kept; RecordError if there is none."""
        if self._unregistered and schema_id == UNREGISTERED_ID:
            return self._unregistered
        return super().by_id(schema_id)


def numeric_properties(properties: Mapping[str, str]) -> dict[str, float]:
    """Return the properties that the Schema Registry client takes as numbers; ConfigError for another value."""
    found = {}
    for name in sorted(NUMERIC_PROPERTIES & properties.keys()):
        try:
            found[name] = seconds(properties[name])
        except argparse.ArgumentTypeError:
            raise ConfigError(unknown_property("schema_registry", [name], name)) from None
    return found


def parse_json(schema: Any, name: str) -> Any:
    """Return a registered schema as JSON; RecordError for JSON Schema and Protobuf."""
    if schema.schema_type != "AVRO":
        raise RecordError(f"{name} is {schema.schema_type}, not AVRO")
    return json.loads(schema.schema_str)
