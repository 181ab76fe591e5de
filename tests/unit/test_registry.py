"""What an answer of the Schema Registry means to the client."""

from typing import Any
from unittest.mock import Mock

import pytest
from confluent_kafka.schema_registry.error import SchemaRegistryError

from classifier.errors import AccessDenied, ClassifierError, RecordError, RegistryUnavailable, SchemaError
from classifier.serialization.http import http_libraries
from classifier.serialization.registry import ReadOnlyRegistry, SchemaRegistry
from classifier.stop import StopRequest
from classifier.users.output_codec import label_schema

(httpx,) = http_libraries()
AT = "Schema Registry http://****@registry"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Confluent's client, which answers as it is told."""
    client = Mock()
    monkeypatch.setattr("confluent_kafka.schema_registry.SchemaRegistryClient", Mock(return_value=client))
    return client


def opened() -> SchemaRegistry:
    """The client's registry, at an address with a password in it."""
    return SchemaRegistry({"url": "http://key:secret@registry"}, StopRequest())


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (401, AccessDenied, f"{AT}: refused (HTTP 401); check [schema_registry] basic.auth.user.info"),
        (403, AccessDenied, f"{AT}: refused (HTTP 403); check [schema_registry] basic.auth.user.info"),
        (404, SchemaError, f"{AT}: HTTP 404; check [schema_registry] url"),
        (422, SchemaError, f"{AT}: HTTP 422 (told so); check [schema_registry] url"),
    ],
)
def test_a_schema_that_cannot_be_registered(
    client: Any, status: int, kind: type[ClassifierError], message: str
) -> None:
    client.register_schema.side_effect = SchemaRegistryError(status, 100 * status + 1, "told so")
    with pytest.raises(kind) as caught:
        opened().register("labels-value", label_schema("labels"))
    assert str(caught.value) == message


@pytest.mark.parametrize("raised", [ValueError("<html>"), AttributeError("get"), httpx.DecodingError("gzip")])
def test_a_web_page_in_the_place_of_a_registry(client: Any, raised: Exception) -> None:
    client.get_latest_version.side_effect = raised
    with pytest.raises(RegistryUnavailable) as caught:
        opened().newest("labels-value")
    assert str(caught.value) == f"{AT}: the response is not that of a Schema Registry; check [schema_registry] url"


@pytest.mark.parametrize("text", ["1", "{}", '{"a": 1}', "[", '"nothing"'])
def test_a_schema_that_is_none(client: Any, text: str) -> None:
    client.get_schema.return_value = Mock(schema_type="AVRO", schema_str=text, references=[])
    with pytest.raises(RecordError, match="schema id 7 is not a usable Avro schema"):
        opened().by_id(7)


def test_an_id_that_no_registry_gives(client: Any) -> None:
    client.get_schema.side_effect = SchemaRegistryError(404, 40403, "told so")
    with pytest.raises(RecordError, match="schema id 4294967295 is not in the Schema Registry"):
        ReadOnlyRegistry({"url": "http://registry"}, StopRequest()).by_id(2**32 - 1)


def test_a_subject_that_is_not_there(client: Any) -> None:
    client.get_latest_version.side_effect = SchemaRegistryError(404, 40401, "told so")
    assert opened().newest("labels-value") is None


def test_subjects_that_may_not_be_listed(client: Any) -> None:
    client.get_subjects.side_effect = SchemaRegistryError(403, 40301, "told so")
    assert opened().subjects() is None
