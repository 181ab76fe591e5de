"""Purchases as records: their values, and the partitions that Flink's partitioner would choose."""

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
    """A registry that knows one schema or none, and a broker whose topics have three partitions."""

    def __init__(self, schema: str | None) -> None:
        super().__init__(Endpoints("broker:1", "http://registry"))
        self._kept = schema

    def latest_schema(self, subject: str) -> RegisteredSchema | None:
        """The schema."""
        assert subject == "transactions_enriched-value"
        return None if self._kept is None else RegisteredSchema(7, self._kept)

    def n_partitions(self, name: str) -> int:
        """Three."""
        return 3


def written(purchases: Sequence[Purchase]) -> list[bytes]:
    """The values of purchases."""
    return [value for block in encoded(purchases, target(Registry(SCHEMA))) for value in block]


def test_a_purchase_is_a_row_of_statement_1() -> None:
    """Numbered as Datagen does; which card and which store is not known."""
    first, second = written([Purchase("ann", 10.0), Purchase("", -0.5)])
    assert schema_id_of(first) == 7
    unknown = {"card_id": None, "store_id": None}
    row = {"transaction_id": 1, "user_id": "ann", "purchase_id": 0, "amount": 10.0, **unknown}
    assert unframe(json.loads(SCHEMA), first) == row
    assert unframe(json.loads(SCHEMA), second)["transaction_id"] == 2


def test_numbers_go_on_from_block_to_block() -> None:
    values = written([Purchase("ann", 1.0)] * (2 * BLOCK + 1))
    numbers = [unframe(json.loads(SCHEMA), value)["purchase_id"] for value in values]
    assert numbers == list(range(2 * BLOCK + 1))


def test_blocks_are_made_when_they_are_asked_for() -> None:
    taken = iter([Purchase("ann", 1.0)] * (2 * BLOCK))
    next(encoded(taken, target(Registry(SCHEMA))))
    assert len(list(taken)) == BLOCK


def java_hash(value: bytes) -> int:
    """`Arrays.hashCode(byte[])`, as its documentation says it."""
    found = 1
    for byte in value:
        found = (31 * found + (byte - 256 if byte > 127 else byte)) % 2**32
    return found - 2**32 if found >= 2**31 else found


@pytest.mark.parametrize("n_partitions", [1, 6, 7])
def test_partitions_are_those_of_javas_hash(n_partitions: int) -> None:
    values = [b"\0", b"\xff\x80\x7f", bytes(range(256)), *written([Purchase(f"User_{i}", i / 7) for i in range(500)])]
    found = partitions(values, n_partitions)
    assert found == [java_hash(value) % n_partitions for value in values]
    assert set(found) == set(range(n_partitions))


def test_the_target_is_the_table_as_it_is_there() -> None:
    topic, n_partitions, schema_id, _ = target(Registry(SCHEMA))
    assert (topic, n_partitions, schema_id) == ("transactions_enriched", 3, 7)


@pytest.mark.parametrize("schema", [None, SCHEMA.replace("store_id", "shop_id")])
def test_another_schema_is_refused(schema: str | None) -> None:
    told = (
        "the schema transactions_enriched-value is not the one that 1_create_transactions_enriched.sql registers; "
        "to start from nothing: python -m local down --delete-data, make up"
    )
    with pytest.raises(LoadError, match=f"^{told}$"):
        target(Registry(schema))


def test_a_table_of_other_columns_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever changes statement 1 hears what a load fills."""
    monkeypatch.setattr(load, "COLUMNS", frozenset({"amount", "currency"}))
    with pytest.raises(
        LoadError, match=r"^1_create_transactions_enriched\.sql must make a table with the columns amount, currency$"
    ):
        load.table()
