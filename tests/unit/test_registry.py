"""Answers of the Schema Registry, and the errors they lead to."""

from typing import Any
from unittest.mock import Mock

import pytest
from confluent_kafka.schema_registry.error import SchemaRegistryError

from classifier.errors import AccessDenied, ClassifierError, RecordError, RegistryUnavailable, SchemaError
from classifier.serialization.http import http_libraries
from classifier.serialization.registry import MAX_REPEATED_REQUESTS, ReadOnlyRegistry, SchemaRegistry
from classifier.stop import StopRequest
from classifier.users.output_codec import label_schema

(httpx,) = http_libraries()
AT = "Schema Registry http://****@registry"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replace Confluent's client by a mock."""
    client = Mock()
    monkeypatch.setattr("confluent_kafka.schema_registry.SchemaRegistryClient", Mock(return_value=client))
    return client


def opened() -> SchemaRegistry:
    """Return the client's registry, at a URL with a password."""
    return SchemaRegistry({"url": "http://key:secret@registry"}, StopRequest())


REGISTER = f"{AT}: cannot register subject labels-value: HTTP"


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (40101, AccessDenied, f"{AT}: refused (HTTP 401); check [schema_registry] basic.auth.user.info"),
        (
            40201,
            SchemaError,
            f"{REGISTER} 402 (refused); its limit of schemas may be reached; delete subjects that nobody needs, or"
            " raise the limit",
        ),
        (
            40301,
            AccessDenied,
            f"{REGISTER} 403 (refused); grant the permission to write this subject, see docs/configuration.md,"
            " Permissions",
        ),
        (40401, SchemaError, f"{AT}: HTTP 404; check [schema_registry] url"),
        (40501, SchemaError, f"{AT}: HTTP 405 (refused); check [schema_registry] url"),
        (
            40901,
            SchemaError,
            f"{REGISTER} 409 (refused); the compatibility of the subject excludes this schema; set it to NONE, delete"
            " the subject, or choose another output with -o",
        ),
        (
            42201,
            SchemaError,
            f"{REGISTER} 422 (refused); if the reason is a rule or a limit of the registry, change it, or choose"
            " another output with -o",
        ),
        (
            42205,
            SchemaError,
            f"{REGISTER} 422 (refused); set the mode of the registry, or of this subject, to READWRITE",
        ),
    ],
)
def test_register_is_refused(client: Any, code: int, kind: type[ClassifierError], message: str) -> None:
    client.register_schema.side_effect = SchemaRegistryError(code // 100, code, "refused")
    with pytest.raises(kind) as caught:
        opened().register("labels-value", label_schema("labels"))
    assert str(caught.value) == message


NO_MODE = SchemaRegistryError(404, 40409, "no mode of its own")


@pytest.mark.parametrize(
    ("of_registry", "of_subject", "expected"),
    [
        ("READWRITE", NO_MODE, "READWRITE"),
        ("READONLY", NO_MODE, "READONLY"),
        ("READONLY", "READWRITE", "READWRITE"),
        ("READWRITE", "IMPORT", "IMPORT"),
        ("READONLY_OVERRIDE", "READWRITE", "READONLY_OVERRIDE"),
        (SchemaRegistryError(403, 40301, "no"), "READONLY", "READONLY"),
        (SchemaRegistryError(404, 404, "no such path"), SchemaRegistryError(405, 405, "no"), None),
        (httpx.ConnectError("away"), KeyError("mode"), None),
    ],
)
def test_mode(client: Any, of_registry: str | Exception, of_subject: str | Exception, expected: str | None) -> None:
    client.get_global_mode.side_effect = [of_registry]
    client.get_mode.side_effect = [of_subject]
    assert opened().mode("labels-value") == expected


AWAY = httpx.ConnectError("Connection refused")
UNTRUSTED = httpx.ConnectError("CERTIFICATE_VERIFY_FAILED")
PASSWORD = SchemaRegistryError(401, 40101, "no")
WRONG_PASSWORD = "HTTP 401; check basic.auth.user.info"
WRONG_CERTIFICATE = (
    "no answer (CERTIFICATE_VERIFY_FAILED); check ssl.ca.location, and host and expiry date of the registry's"
    " certificate"
)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once."""
    monkeypatch.setattr("classifier.outage.RETRY_SECONDS", 0.0)


def answered() -> SchemaRegistry:
    """Return the client's registry after its first answer."""
    registry = opened()
    registry.subjects()
    return registry


@pytest.mark.usefixtures("no_pause")
def test_a_changed_cause_is_logged_once(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    proxy = SchemaRegistryError(503, -1, "<html>")
    client.get_schema.side_effect = [AWAY, AWAY, PASSWORD, proxy, AWAY, PASSWORD, UNTRUSTED, proxy, SCHEMA]
    assert answered().by_id(7) == "string"
    began, *changed, back = caplog.messages
    assert began == f"{AT}: no answer (Connection refused); retrying until it is back"
    assert changed == [
        f"{AT}: now {cause}; still retrying"
        for cause in (
            WRONG_PASSWORD,
            "HTTP 503; see the log of the registry, or of a proxy in front of it",
            WRONG_CERTIFICATE,
        )
    ]
    assert back.startswith(f"{AT}: back after ")


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize(("refusal", "message"), [(PASSWORD, WRONG_PASSWORD), (UNTRUSTED, WRONG_CERTIFICATE)])
def test_refusals_that_last_end_the_client(
    client: Any, refusal: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those before the last answer do not count."""
    now = iter([1000.0, 1050.0, 1055.0, 1080.0, 1115.0])
    monkeypatch.setattr("classifier.kafka.diagnosis.time", Mock(monotonic=lambda: next(now)))
    client.get_schema.side_effect = [refusal, refusal, SCHEMA, *[refusal] * 3]
    registry = answered()
    assert registry.by_id(7) == "string"
    with pytest.raises(AccessDenied) as caught:
        registry.by_id(8)
    assert str(caught.value) == f"{AT}: {message}; see [schema_registry]; refused for 60 s"


def test_a_stop_request_while_the_registry_refuses(client: Any) -> None:
    registry = answered()
    registry._stop.requested = True
    client.get_schema.side_effect = PASSWORD
    with pytest.raises(RegistryUnavailable) as caught:
        registry.by_id(7)
    assert str(caught.value) == f"{AT}: HTTP 401; check [schema_registry] url and basic.auth.user.info"


@pytest.mark.parametrize("raised", [ValueError("<html>"), AttributeError("get"), httpx.DecodingError("gzip")])
def test_a_web_page_instead_of_a_registry(client: Any, raised: Exception) -> None:
    client.get_latest_version.side_effect = raised
    with pytest.raises(RegistryUnavailable) as caught:
        opened().newest("labels-value")
    assert str(caught.value) == f"{AT}: the response is not that of a Schema Registry; check [schema_registry] url"


@pytest.mark.parametrize("text", ["1", "{}", '{"a": 1}', "[", '"nothing"'])
def test_invalid_schema(client: Any, text: str) -> None:
    client.get_schema.return_value = Mock(schema_type="AVRO", schema_str=text, references=[])
    with pytest.raises(RecordError, match="schema id 7 is not a usable Avro schema"):
        opened().by_id(7)


def test_the_id_for_unregistered_schemas_is_unknown(client: Any) -> None:
    client.get_schema.side_effect = SchemaRegistryError(404, 40403, "refused")
    with pytest.raises(RecordError, match="schema id 4294967295 is not in the Schema Registry"):
        ReadOnlyRegistry({"url": "http://registry"}, StopRequest()).by_id(2**32 - 1)


UNKNOWN = SchemaRegistryError(404, 40403, "refused")
SCHEMA = Mock(schema_type="AVRO", schema_str='"string"', references=[])
REFERENCE = Mock(subject="stores", version=2)
REFERENCE.name = "Store"  # as an argument it would name the mock
GUID = "00000000-0000-0000-0000-000000000007"


@pytest.mark.parametrize("n_unknown", [0, 1, MAX_REPEATED_REQUESTS])
@pytest.mark.parametrize("request_name", ["get_schema", "get_schema_by_guid", "get_version"])
def test_an_unknown_schema_is_requested_again(
    client: Any, n_unknown: int, request_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As from a follower that lags behind its leader; one line of the log however long it takes."""
    client.get_schema.return_value = Mock(schema_type="AVRO", schema_str='"string"', references=[REFERENCE])
    found = Mock(schema=SCHEMA) if request_name == "get_version" else SCHEMA
    asked = getattr(client, request_name)
    asked.side_effect = [*[UNKNOWN] * n_unknown, found]
    registry = opened()
    assert (registry.by_guid(GUID) if request_name == "get_schema_by_guid" else registry.by_id(7)) == "string"
    assert asked.call_count == n_unknown + 1
    assert len(caplog.records) == min(n_unknown, 1)


def test_a_schema_that_does_not_exist_is_waited_for_once(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    client.get_schema.side_effect = UNKNOWN
    registry = opened()
    for n_requests in (MAX_REPEATED_REQUESTS + 1, MAX_REPEATED_REQUESTS + 2):
        with pytest.raises(RecordError, match=r"^schema id 7 is not in the Schema Registry$"):
            registry.by_id(7)
        assert client.get_schema.call_count == n_requests
    assert [record.getMessage() for record in caplog.records] == [
        f"{AT}: schema id 7 is unknown; asking again for half a minute"
    ]
    client.get_schema.side_effect = None
    client.get_schema.return_value = SCHEMA
    assert registry.by_id(7) == "string", "it may be registered later"


def test_a_stop_request_ends_the_requests_for_an_unknown_schema(client: Any) -> None:
    stop = StopRequest()

    def unknown(schema_id: int) -> None:
        stop.requested = client.get_schema.call_count == 3
        raise UNKNOWN

    client.get_schema.side_effect = unknown
    with pytest.raises(RegistryUnavailable, match="schema id 7 is unknown"):
        SchemaRegistry({"url": "http://registry"}, stop).by_id(7)
    assert client.get_schema.call_count == 3


def test_a_registry_without_guids_is_not_waited_for(client: Any) -> None:
    client.get_schema_by_guid.side_effect = SchemaRegistryError(404, 404, "HTTP 404 Not Found")
    with pytest.raises(RecordError, match=f"schema guid {GUID} is not in the Schema Registry; to put the id"):
        opened().by_guid(GUID)
    assert client.get_schema_by_guid.call_count == 2


def test_missing_subject(client: Any) -> None:
    client.get_latest_version.side_effect = SchemaRegistryError(404, 40401, "refused")
    assert opened().newest("labels-value") is None


def test_subjects_without_permission(client: Any) -> None:
    client.get_subjects.side_effect = SchemaRegistryError(403, 40301, "refused")
    assert opened().subjects() is None
