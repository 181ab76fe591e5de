"""Purchases as records: their values, and the partitions that Flink's partitioner chooses."""

import json
from collections.abc import Sequence

import pytest

from local.own_data import load
from local.own_data.load import BLOCK, LoadError, encoded, partitions, target
from local.own_data.purchases import Purchase
from local.sql.flink_tables import Endpoints, value_schema
from local.sql.topics import RegisteredSchema, Topics
from tests.support.wire import schema_id_of, unframe

SCHEMA = value_schema(load.table())


class Registry(Topics):
    """A registry with one schema or none, and a broker whose topics have three partitions."""

    def __init__(self, schema: str | None) -> None:
        super().__init__(Endpoints("broker:1", "http://registry"))
        self._schema = schema

    def latest_schema(self, subject: str) -> RegisteredSchema | None:
        """Return the schema with id 7."""
        assert subject == "transactions_enriched-value"
        return None if self._schema is None else RegisteredSchema(7, self._schema)

    def n_partitions(self, name: str) -> int:
        """Return 3."""
        return 3


def values_of(purchases: Sequence[Purchase]) -> list[bytes]:
    """Return the values of purchases."""
    return [value for block in encoded(purchases, target(Registry(SCHEMA))) for value in block]


def test_a_purchase_as_a_row_of_statement_1() -> None:
    """Numbered as in Datagen; card and store are NULL."""
    first, second = values_of([Purchase("ann", 10.0), Purchase("", -0.5)])
    assert schema_id_of(first) == 7
    unknown = {"card_id": None, "store_id": None}
    row = {"transaction_id": 1, "user_id": "ann", "purchase_id": 0, "amount": 10.0, **unknown}
    assert unframe(json.loads(SCHEMA), first) == row
    assert unframe(json.loads(SCHEMA), second)["transaction_id"] == 2


def test_numbers_continue_across_blocks() -> None:
    values = values_of([Purchase("ann", 1.0)] * (2 * BLOCK + 1))
    numbers = [unframe(json.loads(SCHEMA), value)["purchase_id"] for value in values]
    assert numbers == list(range(2 * BLOCK + 1))


def test_blocks_are_encoded_one_at_a_time() -> None:
    purchases = iter([Purchase("ann", 1.0)] * (2 * BLOCK))
    next(encoded(purchases, target(Registry(SCHEMA))))
    assert len(list(purchases)) == BLOCK


def java_hash(value: bytes) -> int:
    """Compute `Arrays.hashCode(byte[])` by its documentation."""
    found = 1
    for byte in value:
        found = (31 * found + (byte - 256 if byte > 127 else byte)) % 2**32
    return found - 2**32 if found >= 2**31 else found


@pytest.mark.parametrize("n_partitions", [1, 6, 7])
def test_partitions_follow_javas_hash(n_partitions: int) -> None:
    values = [b"\0", b"\xff\x80\x7f", bytes(range(256)), *values_of([Purchase(f"User_{i}", i / 7) for i in range(500)])]
    found = partitions(values, n_partitions)
    assert found == [java_hash(value) % n_partitions for value in values]
    assert set(found) == set(range(n_partitions))


def test_the_target_is_the_existing_topic() -> None:
    topic, n_partitions, schema_id, _ = target(Registry(SCHEMA))
    assert (topic, n_partitions, schema_id) == ("transactions_enriched", 3, 7)


@pytest.mark.parametrize("schema", [None, SCHEMA.replace("store_id", "shop_id")])
def test_another_schema_is_rejected(schema: str | None) -> None:
    expected = (
        "the schema transactions_enriched-value is not the one that 1_create_transactions_enriched.sql registers; "
        "to start over: python -m local down --delete-data, make up"
    )
    with pytest.raises(LoadError, match=f"^{expected}$"):
        target(Registry(schema))


def test_a_table_without_the_columns_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a change of statement 1 that a load does not support is noticed."""
    monkeypatch.setattr(load, "COLUMNS", frozenset({"amount", "currency"}))
    with pytest.raises(
        LoadError, match=r"^1_create_transactions_enriched\.sql must create a table with the columns amount, currency$"
    ):
        load.table()
