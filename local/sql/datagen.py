"""A Flink job in place of Confluent's Datagen source connector with the template TRANSACTIONS.

Ten users (``User_1`` to ``User_9``, and ``User_`` without a number), 24 cards, 7 stores, and no amount.
"""

from __future__ import annotations

from typing import Any

TOPIC = "transactions"
PARTITIONS = 1
"""In the original pipeline, the topic is created by hand with one partition."""

FIELDS = {"transaction_id": "long", "card_id": "long", "user_id": "string", "purchase_id": "long", "store_id": "int"}

JOB_NAME = "datagen-transactions"


def schema() -> dict[str, Any]:
    """Return the Avro schema of the template; no field is nullable."""
    fields = [{"name": name, "type": kind} for name, kind in FIELDS.items()]
    return {"type": "record", "name": "transactions", "namespace": "datagen.example", "fields": fields}


def statements(target: str, rows_per_second: int) -> list[str]:
    """Return Flink statements that write the stream into the table ``target`` until they are stopped."""
    return [
        "DROP TEMPORARY TABLE IF EXISTS datagen",
        f"""CREATE TEMPORARY TABLE datagen (
  card_id BIGINT,
  user_number INT,
  store_id INT,
  made_at AS PROCTIME()
) WITH (
  'connector' = 'datagen',
  'rows-per-second' = '{rows_per_second}',
  'fields.card_id.min' = '1',
  'fields.card_id.max' = '24',
  'fields.user_number.min' = '0',
  'fields.user_number.max' = '9',
  'fields.store_id.min' = '1',
  'fields.store_id.max' = '7'
)""",
        # A running count: the connector's own sequences would keep all their numbers in memory.
        f"""INSERT INTO `{target}` (transaction_id, card_id, user_id, purchase_id, store_id)
SELECT
  COUNT(*) OVER numbered,
  card_id,
  'User_' || TRIM(LEADING '0' FROM CAST(user_number AS STRING)),
  COUNT(*) OVER numbered - 1,
  store_id
FROM datagen
WINDOW numbered AS (ORDER BY made_at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)""",
    ]
