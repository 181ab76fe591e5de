"""Schemas by id and by subject, from the Schema Registry; an outage is waited out once it has answered."""

import argparse
import contextlib
import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import fastavro

from classifier.config.argument_types import seconds
from classifier.config.properties import unknown_property, without_userinfo
from classifier.errors import AccessDenied, ClassifierError, ConfigError, RecordError, RegistryUnavailable, SchemaError
from classifier.outage import Outage
from classifier.serialization.http import also_to_check, check_transport, http_errors, is_url
from classifier.serialization.schema import Types, cause_of, least_size, qualified, self_contained
from classifier.stop import StopRequest

T = TypeVar("T")


REGISTRY_TIMING = {"timeout": 10.0, "max.retries": 0}  # seconds; outages are waited out by us
REGISTRY_NUMBERS = {
    "timeout",
    "max.retries",
    "retries.wait.ms",
    "retries.max.wait.ms",
    "cache.capacity",
    "cache.latest.ttl.sec",
}
UNREGISTERED_ID = 2**32 - 1
# For a registry that does not know of GUIDs, as those before Confluent's 8.
GUID_ADVICE = (
    "; to put the id into the value, set value.schema.id.serializer (and key.schema.id.serializer) of the producer to"
    " io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer"
)
SCHEMA_ERRORS = ValueError, KeyError, TypeError, AttributeError, RecursionError  # of a text that is no schema
NOT_FOUND = range(40400, 40500)  # the registry's own codes; what else answers 404 is none, or not at this path


def numbers_among(properties: Mapping[str, str]) -> dict[str, float]:
    """Return the properties of the Schema Registry client that have to be numbers."""
    try:
        return {(last := name): seconds(properties[name]) for name in sorted(REGISTRY_NUMBERS & properties.keys())}
    except argparse.ArgumentTypeError:
        raise ConfigError(unknown_property("schema_registry", [last], last)) from None


class Subject(NamedTuple):
    """The newest schema of a subject."""

    schema_id: int
    schema: Any  # that needs no other


class SchemaRegistry:
    """Schemas by id and by subject. Once it has answered, an outage is waited out."""

    def __init__(self, properties: Mapping[str, str], stop: StopRequest) -> None:
        # Imported here: 0.3 s that --help and a mistake in the file need not wait for.
        with warnings.catch_warnings(record=True):  # before 2.16, words of one of its libraries to its developers
            from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
            from confluent_kafka.schema_registry.error import SchemaRegistryError

        self._schema_type, self._refusal, self._network = Schema, SchemaRegistryError, http_errors("TransportError")
        # What Confluent's client raises for an answer of something else: a web page, a proxy that is being repaired.
        self._nonsense: tuple[type[Exception], ...] = AttributeError, KeyError, TypeError, ValueError
        self._nonsense += http_errors("RequestError", "InvalidURL")
        self._properties, self._stop, self._answered = properties, stop, False
        # A url can hold a password, and that a slash.
        self._url = without_userinfo(properties["url"])
        self.outage = Outage(f"Schema Registry {self._url}")
        if not all(is_url(url.strip()) for url in properties["url"].split(",")):
            raise ConfigError(unknown_property("schema_registry", ["url"], "url"))
        check_transport(properties)
        try:
            self._client = SchemaRegistryClient({**REGISTRY_TIMING, **properties, **numbers_among(properties)})
        except (ValueError, TypeError) as error:
            raise ConfigError(unknown_property("schema_registry", properties, str(error))) from None
        except OSError:
            files = " ".join(name for name in properties if name.endswith(".location"))
            raise ConfigError(unknown_property("schema_registry", properties, files)) from None

        self._connections = contextlib.ExitStack()
        self._connections.push(self._client)  # its method close() came with confluent-kafka 2.16

    def by_id(self, schema_id: int) -> Any:
        """Return the parsed schema; RecordError when there is none of that id."""
        found = self._call(lambda: self._client.get_schema(schema_id))
        if found is None:
            raise RecordError(f"schema id {schema_id} is not in the Schema Registry")
        return self._parse(found, f"schema id {schema_id}")

    def by_guid(self, guid: str) -> Any:
        """Return the schema of a GUID; RecordError when there is none."""
        found = self._call(lambda: self._schema_of(guid))
        if found is None:
            raise RecordError(f"schema guid {guid} is not in the Schema Registry{GUID_ADVICE}")
        return self._parse(found, f"schema guid {guid}")

    def _schema_of(self, guid: str) -> Any:
        """Return what the registry has of a GUID. One that knows no GUIDs has no such path: it answers all else."""
        for _ in range(2):
            try:
                return self._client.get_schema_by_guid(guid)
            except self._refusal as refusal:
                if refusal.http_status_code != 404:
                    raise
            self.subjects()  # waits, should it be the way to the registry that is being repaired
        return None

    def subjects(self) -> list[str] | None:
        """Return all subjects, None where the account may not list them."""
        try:
            return self._call(self._client.get_subjects)
        except AccessDenied:
            return None

    def newest(self, subject: str) -> Subject | None:
        """Return the newest version of a subject, None where there is no such subject."""
        found = self._call(lambda: self._client.get_latest_version(subject))
        if found is None or found.schema_id is None:
            return None
        return Subject(found.schema_id, self._parse(found.schema, f"subject {subject}"))

    def register(self, subject: str, schema: Mapping[str, Any]) -> Subject:
        """Register a schema, or find it there."""
        wanted = self._schema_type(json.dumps(schema), "AVRO")
        schema_id = self._call(lambda: self._client.register_schema(subject, wanted))
        if schema_id is None:
            raise self._no_use("HTTP 404", SchemaError)
        return Subject(schema_id, fastavro.parse_schema(dict(schema)))

    def _parse(self, schema: Any, name: str) -> Any:
        """Return a schema that needs no other; RecordError says why it is of no use."""
        types: Types = {}
        try:
            self._collect(schema, name, types, set())
            found = self_contained(qualified(as_json(schema, name), types), types, set())
            least_size(found, {})
        except SCHEMA_ERRORS as error:
            raise RecordError(f"{name} is not a usable Avro schema ({cause_of(error)})") from None
        return found

    def _collect(self, schema: Any, name: str, types: Types, seen: set[str]) -> None:
        """Put what a schema refers to into `types`, the deepest first; of one name the first counts, as in Java."""
        for each in schema.references or ():
            if each.name in seen:
                continue
            seen.add(each.name)
            where = f"{name} refers to {each.name}, subject {each.subject} version {each.version}, which"
            found = self._version(each.subject, each.version)
            if found is None:
                raise RecordError(f"{where} is not in the Schema Registry")
            self._collect(found.schema, where, types, seen)
            qualified(as_json(found.schema, where), types)

    def _version(self, subject: str, version: int) -> Any:
        """Return a version of a subject, deleted or not; None where there never was one."""
        return self._call(lambda: self._client.get_version(subject, version, deleted=True))

    def _call(self, call: Callable[[], T]) -> T | None:
        """Return the answer, None for 'not found'; wait while the registry is away."""
        while True:
            try:
                answer = call()
            except self._refusal as refusal:
                if refusal.http_status_code == 404 and refusal.error_code in NOT_FOUND:
                    answer = None
                else:
                    self._refused(refusal.http_status_code, refusal.error_message)
                    continue
            except self._network as error:
                self._wait(f"no answer ({error or type(error).__name__})")
                continue
            except self._nonsense:
                self._wait("the response is not that of a Schema Registry")
                continue
            self._answered = True
            self.outage.note_recovery()
            return answer

    def _refused(self, status: int, message: str) -> None:
        """Raise what a refusal means; wait for what passes."""
        if status in (401, 403):
            raise AccessDenied(
                f"Schema Registry {self._url}: refused (HTTP {status}); check [schema_registry] basic.auth.user.info"
            )
        if status == 404 and not self._answered:  # else the way to it is being repaired
            raise self._no_use("HTTP 404", SchemaError)
        if status < 500 and status not in (404, 429):
            raise self._no_use(f"HTTP {status} ({message})", SchemaError)
        self._wait(f"HTTP {status}")

    def _wait(self, cause: str) -> None:
        if not self._answered or self._stop.requested:
            raise self._no_use(cause, RegistryUnavailable)
        self.outage.wait(cause)

    def _no_use(self, cause: str, kind: type[ClassifierError]) -> ClassifierError:
        also = also_to_check(self._properties, cause)
        return kind(f"Schema Registry {self._url}: {cause}; check [schema_registry] url{also}")

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


def as_json(schema: Any, name: str) -> Any:
    """Return a schema as it was registered; RecordError for another kind of schema."""
    if schema.schema_type != "AVRO":
        raise RecordError(f"{name} is {schema.schema_type}, not AVRO")
    return json.loads(schema.schema_str)


class ReadOnlyRegistry(SchemaRegistry):
    """A registry that is not written to: what would be registered is known here, under an id that none gives."""

    _kept: Any = None

    def register(self, subject: str, schema: Mapping[str, Any]) -> Subject:
        """Keep a schema."""
        self._kept = fastavro.parse_schema(dict(schema))
        return Subject(UNREGISTERED_ID, self._kept)

    def by_id(self, schema_id: int) -> Any:
        """Return the parsed schema; RecordError when there is none of that id."""
        return self._kept if self._kept and schema_id == UNREGISTERED_ID else super().by_id(schema_id)
