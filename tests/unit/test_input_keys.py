"""Keys of an upsert input: the user_id of each, or why it has none."""

from typing import Any

import pytest

from classifier.errors import RecordError, SchemaError
from classifier.serialization.wire import with_header
from classifier.users.input_keys import InputKeys
from tests.support.memory import registry_of
from tests.support.wire import AGGREGATE_SCHEMA, KEY_SCHEMA, body, frame, record_schema

NUMBERS = record_schema("v", user_id="long", total_amount="double", num_transactions="long")


def record_of(**kinds: Any) -> dict[str, Any]:
    """A key that is a record."""
    return {"type": "record", "name": "k", "fields": [{"name": name, "type": kind} for name, kind in kinds.items()]}


@pytest.mark.parametrize(
    ("schema", "key", "user_id"),
    [
        ("string", "ann", "ann"),
        ("string", "", ""),
        ({"type": "string", "avro.java.string": "String"}, "ann", "ann"),
        ({"type": "string", "logicalType": "uuid"}, "s-1", "s-1"),
        (["null", "string"], "ann", "ann"),
        ("int", 7, "7"),
        ("long", -(2**63), "-9223372036854775808"),
        (["null", "long"], 7, "7"),
        (KEY_SCHEMA, {"user_id": "ann"}, "ann"),
        (record_of(user_id=["null", "string"]), {"user_id": "ann"}, "ann"),
        (record_of(user_id="int"), {"user_id": 7}, "7"),
    ],
)
def test_an_avro_key(schema: Any, key: Any, user_id: str) -> None:
    keys = InputKeys(registry_of(t__key=schema), "t")
    value = frame(1, body({**schema, "logicalType": ""} if isinstance(schema, dict) else schema, key))
    assert (keys.decode(value), str(keys)) == (user_id, "fits")
    for broken in (value[:-1], value + b"\0", b"ann"):
        with pytest.raises(RecordError, match="does not name a user_id"):
            keys.decode(broken)


@pytest.mark.parametrize("schema", [["null", "string"], record_of(user_id=["null", "string"])])
def test_a_key_that_is_null(schema: Any) -> None:
    with pytest.raises(RecordError, match=r"does not name a user_id \(null\)"):
        InputKeys(registry_of(t__key=schema), "t").decode(frame(1, b"\0"))


APPEND = "if no record of the topic deletes, --changelog-mode append reads it without its keys"


@pytest.mark.parametrize(
    ("schema", "cause"),
    [
        (record_of(id="string"), "a record of id"),
        (record_of(user_id="string", window="long"), "a record of user_id, window"),
        (record_of(), "a record of nothing"),
        ("double", "user_id is of type double; write CAST"),
        ({"type": "long", "logicalType": "timestamp-millis"}, "user_id is of type timestamp-millis; write CAST"),
        ({"type": "map", "values": "string"}, "user_id is of type map; write CAST"),
        (["null", KEY_SCHEMA], "user_id is of type record; write CAST"),
        (["string", "long"], "user_id is of type long or string; write CAST"),
    ],
)
def test_a_key_subject_that_names_no_user(schema: Any, cause: str) -> None:
    with pytest.raises(SchemaError) as caught:
        InputKeys(registry_of(t__key=schema), "t")
    assert str(caught.value).startswith(f"subject t-key names no user_id ({cause}")
    assert str(caught.value).endswith(f"); {APPEND}")


@pytest.mark.parametrize(
    ("key", "user_id"),
    [
        (b"7", "7"),
        (b"-7", "-7"),
        (b"12345678", "12345678"),  # eight bytes, all digits
    ],
)
def test_a_raw_key_of_a_number(key: bytes, user_id: str) -> None:
    keys = InputKeys(registry_of(t__value=NUMBERS), "t")
    assert keys.decode(key) == user_id
    assert str(keys) == "none: keys are plain user_ids as digits"


@pytest.mark.parametrize("key", [b"ann", b"", b"7.0", (-7).to_bytes(8, "big", signed=True), b"ABCDEFGH"])
def test_a_raw_key_that_is_no_number(key: bytes) -> None:
    with pytest.raises(RecordError, match="no digits, though user_id is a number in the values"):
        InputKeys(registry_of(t__value=NUMBERS), "t").decode(key)


@pytest.mark.parametrize("key", [b"\0\0\7", (7).to_bytes(4, "big"), (7).to_bytes(8, "big")])
def test_a_binary_number_is_refused(key: bytes) -> None:
    with pytest.raises(RecordError, match="does not name a user_id"):
        InputKeys(registry_of(t__value=NUMBERS), "t").decode(key)


def test_a_raw_key_of_a_text() -> None:
    keys = InputKeys(registry_of(t__value=AGGREGATE_SCHEMA), "t")
    assert str(keys) == "none: keys are plain user_ids"
    for user_id in ("ann", "", "é", "12345678", "a\0b"):
        assert keys.decode(user_id.encode()) == user_id


def test_an_avro_key_whose_subject_has_another_name() -> None:
    keys = InputKeys(registry_of(t__value=AGGREGATE_SCHEMA, user_id=KEY_SCHEMA), "t")
    key = body(KEY_SCHEMA, {"user_id": "ann"})
    assert keys.decode(frame(2, key)) == "ann"
    header = with_header(key, [("__key_schema_id", frame(2, b""))], "__key_schema_id")
    assert keys.decode(header, has_header=True) == "ann"
