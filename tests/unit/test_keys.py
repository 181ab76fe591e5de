"""Keys of both kinds are decoded as they were encoded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.errors import RecordError
from classifier.users.output_codec import KeyCodec
from tests.support.memory import registry_of
from tests.support.wire import KEY_SCHEMA, LABELING_SCHEMA, body, frame

users = st.text(max_size=50)


@given(st.lists(users, max_size=5))
def test_plain_keys(user_ids: list[str]) -> None:
    codec = KeyCodec(registry_of(), "x")
    keys = codec.encode(user_ids)
    assert keys == [user_id.encode() for user_id in user_ids]
    assert [codec.decode(key) for key in keys] == user_ids


@given(st.lists(users, max_size=5))
def test_avro_keys(user_ids: list[str]) -> None:
    codec = KeyCodec(registry_of(x__value=LABELING_SCHEMA, x__key=KEY_SCHEMA), "x")
    keys = codec.encode(user_ids)
    assert keys == [frame(2, body(KEY_SCHEMA, {"user_id": user_id})) for user_id in user_ids]
    assert [codec.decode(key) for key in keys] == user_ids


def test_a_key_that_is_no_text() -> None:
    codec = KeyCodec(registry_of(), "x")
    with pytest.raises(RecordError, match=r"^key b'\\xff' does not name a user_id$"):
        codec.decode(b"\xff")
