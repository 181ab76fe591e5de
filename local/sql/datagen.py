"""The stand-in for Confluent's Datagen source connector with the template TRANSACTIONS: a Flink job.

Ten users (``User_1`` to ``User_9`` and the bare ``User_``), 24 cards, 7 stores, and no amount.
"""

from __future__ import annotations

from typing import Any

TOPIC = "transactions"
PARTITIONS = 1
"""The topic is made by hand with a single partition, as the seed says."""

FIELDS = {"transaction_id": "long", "card_id": "long", "user_id": "string", "purchase_id": "long", "store_id": "int"}

JOB_NAME = "datagen-transactions"


def schema() -> dict[str, Any]:
    """The Avro schema of the template: no field is nullable."""
    fields = [{"name": name, "type": kind} for name, kind in FIELDS.items()]
    return {"type": "record", "name": "transactions", "namespace": "datagen.example", "fields": fields}


def statements(target: str, rows_per_second: int) -> list[str]:
    """Flink statements that write the stream into the table ``target`` until they are stopped."""
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
        # The connector's own sequences hold all their numbers in memory; a running count is one number.
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
