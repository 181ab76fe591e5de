"""Columns of the types that SQL gives them: read where exact and unambiguous, otherwise refused with the CAST."""

import random
from decimal import Decimal
from typing import Any

import pytest

from tests.hostile.records import encoded
from tests.support import inside, oracle
from tests.support.changelog import Change, Op, Row, aggregation, place_at_random
from tests.support.pipeline import Pipeline
from tests.support.topics import Outgoing
from tests.support.wire import NAMESPACE, frame

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 20}


def nullable(**kinds: Any) -> dict[str, Any]:
    """A table as Flink registers it."""
    fields = [{"name": name, "type": ["null", kind], "default": None} for name, kind in kinds.items()]
    return {"type": "record", "name": "totals_value", "namespace": NAMESPACE, "fields": fields}


SUM_OF_DECIMAL = nullable(user_id="long", total_amount=DECIMAL, num_transactions="long")


def written(schema_id: int, change: Change, exact: Decimal) -> Outgoing:
    """A record of a retract table with an exact total."""
    op, row = change
    fields = {"user_id": int(row.user_id), "total_amount": exact, "num_transactions": row.num_transactions}
    return Outgoing(0, frame(schema_id, encoded(SUM_OF_DECIMAL, fields)), [("op", bytes([op]))])


def test_a_retract_changelog_of_decimals_cancels_exactly(pipeline: Pipeline) -> None:
    """Totals are decimals that no double can represent; some others are rounded to the same double."""
    schema_id = pipeline.subjects.register(f"{pipeline.source}-value", SUM_OF_DECIMAL)
    rng = random.Random(5)
    changes = [
        Change(op, row._replace(user_id=row.user_id.removeprefix("User_")))
        for op, row in aggregation(seed=5, n_users=20, n_transactions=150)
    ]
    least = Decimal(1).scaleb(-20)
    records = []
    for change in changes:
        exact = Decimal(f"{change.row.total_amount:.20f}")
        records.append(written(schema_id, change, exact))
        twin = exact + least
        if float(twin) == change.row.total_amount and rng.random() < 0.2:  # inserted and deleted, as another decimal
            records += [written(schema_id, Change(op, change.row), twin) for op in (Op.INSERT, Op.DELETE)]
    rng.shuffle(records)  # a retract changelog may be read in any order
    half = len(records) // 2
    for part in (records[:half], records[half:]):
        pipeline.topics.write(pipeline.source, part)
        inside.run(pipeline.arguments("--until-end"))
    assert pipeline.labelling() == oracle.labelled(changes)
    assert pipeline.pending() == {}


def test_sums_of_whole_numbers(pipeline: Pipeline) -> None:
    schema = nullable(user_id="int", total_amount="int", num_transactions="int")
    schema_id = pipeline.subjects.register(f"{pipeline.source}-value", schema)
    changes = [
        Change(op, Row(row.user_id.removeprefix("User_"), float(int(row.total_amount)), row.num_transactions))
        for op, row in aggregation(seed=6, n_users=12, n_transactions=100)
    ]
    records = []
    for partition, (op, row) in place_at_random(changes, 1, seed=6):
        fields = {**row._asdict(), "user_id": int(row.user_id), "total_amount": int(row.total_amount)}
        value = frame(schema_id, encoded(schema, fields))
        records.append(Outgoing(partition, value, [("op", bytes([op]))]))
    pipeline.topics.write(pipeline.source, records)
    inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == oracle.labelled(changes)


@pytest.mark.parametrize(
    ("column", "kind", "named", "made", "sql"),
    [
        ("total_amount", "string", "string", "SUM(amount)", "DOUBLE"),
        ("num_transactions", DECIMAL, "decimal(38, 20)", "COUNT(purchase_id)", "BIGINT"),
        ("user_id", {"type": "long", "logicalType": "timestamp-millis"}, "timestamp-millis", "user_id", "STRING"),
    ],
)
def test_a_type_that_is_not_read(column: str, kind: Any, named: str, made: str, sql: str, pipeline: Pipeline) -> None:
    """A run and --check have the same message, with the SQL to write."""
    schema = nullable(**{"user_id": "string", "total_amount": "double", "num_transactions": "long", column: kind})
    schema_id = pipeline.subjects.register(f"{pipeline.source}-value", schema)
    pipeline.topics.write(pipeline.source, [Outgoing(0, frame(schema_id, b""), [])])
    line = (
        f"{column} is of type {named}; write CAST({made} AS {sql}) AS {column} in statement 4, and {column} {sql}"
        " in statement 3"
    )
    assert f"TO DO   subject {pipeline.source}-value: {line}\n" in inside.run(pipeline.arguments("--check")).stdout
    finished = inside.run(pipeline.arguments("--until-end"))
    assert f"{pipeline.source} [0] at offset 0: {line}; to skip such records" in finished.stderr
