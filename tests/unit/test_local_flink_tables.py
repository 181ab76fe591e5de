"""A Confluent table on open-source Flink: schemas, declarations, INSERTs."""

import json
from dataclasses import replace

import pytest
from fastavro import parse_schema

from local.sql import flink_tables, inference
from local.sql.confluent_sql import Column, Insert, StatementError, Table
from local.sql.flink_tables import Endpoints

ENDPOINTS = Endpoints("broker:1", "http://registry/")
TOTALS = Table("totals", (Column("user_id", "STRING"), Column("n", "BIGINT")), options={"changelog.mode": "retract"})
LABELS = Table(
    "labels",
    (Column("user_id", "STRING", nullable=False), Column("label", "INT")),
    ("user_id",),
    1,
    {"changelog.mode": "upsert", "value.fields-include": "all"},
)
TIMES = Table(
    "times",
    (Column("at", "TIMESTAMP_LTZ(3)"), Column("local_at", "TIMESTAMP(3)"), Column("on_day", "DATE", nullable=False)),
    options={"changelog.mode": "retract"},
)
PLAIN = Table("plain", (Column("user_id", "STRING"), Column("n", "BIGINT")))


def test_the_value_schema_is_that_of_confluent() -> None:
    """Nullable columns are unions with default null; key columns are not nullable."""
    assert json.loads(flink_tables.value_schema(LABELS)) == {
        "type": "record",
        "name": "labels_value",
        "namespace": "org.apache.flink.avro.generated.record",
        "fields": [
            {"name": "user_id", "type": "string"},
            {"name": "label", "type": ["null", "int"], "default": None},
        ],
    }


def test_value_schema_without_the_key() -> None:
    """Confluent's default: the value does not repeat the key."""
    table = replace(LABELS, options={"changelog.mode": "upsert"})
    fields = json.loads(flink_tables.value_schema(table))["fields"]
    assert fields == [{"name": "label", "type": ["null", "int"], "default": None}]
    (topic, *_) = flink_tables.declare(table, ENDPOINTS)
    assert "'value.fields-include' = 'EXCEPT_KEY'" in topic


def test_key_schema() -> None:
    """Only the key columns; None without a primary key, and for raw keys."""
    key = flink_tables.key_schema(LABELS)
    assert key is not None
    assert json.loads(key)["fields"] == [{"name": "user_id", "type": "string"}]
    assert flink_tables.key_schema(TOTALS) is None
    assert flink_tables.key_schema(flink_tables.with_key_format(LABELS, "raw")) is None


@pytest.mark.parametrize("table", [TOTALS, LABELS, PLAIN, TIMES])
def test_the_columns_are_inferred_from_the_registered_schema(table: Table) -> None:
    schema = flink_tables.value_schema(table)
    parse_schema(json.loads(schema))
    assert inference.table_of_schema(table.name, schema).columns == table.columns


def test_retract_table() -> None:
    """A table of the topic, a view of its rows, and the same view with $rowtime."""
    topic, view, timed = flink_tables.declare(TOTALS, ENDPOINTS)
    for part in (
        "CREATE TEMPORARY TABLE `totals__changelog`",
        "`user_id` STRING",
        "`$headers` MAP<STRING, BYTES> METADATA FROM 'headers'",
        "WATERMARK FOR `$rowtime` AS `$rowtime`",
        "'topic' = 'totals'",
        "'properties.bootstrap.servers' = 'broker:1'",
        "'properties.isolation.level' = 'read_committed'",
        "'sink.delivery-guarantee' = 'exactly-once'",
        "'sink.partitioner' = 'ValueHashPartitioner'",
        "'avro-confluent.subject' = 'totals-value'",
        f"'avro-confluent.schema' = '{flink_tables.value_schema(TOTALS)}'",
    ):
        assert part in topic
    assert view == (
        "CREATE TEMPORARY VIEW `totals` AS SELECT `user_id`, `n` FROM FROM_CHANGELOG("
        "input => (SELECT `user_id`, `n`, `$op` FROM `totals__changelog`), op => DESCRIPTOR(`$op`))"
    )
    assert timed.startswith("CREATE TEMPORARY VIEW `totals__with_rowtime` AS SELECT `user_id`, `n`, `$rowtime` FROM")


@pytest.mark.parametrize(("raw_key", "key_format"), [(True, "raw"), (False, "avro-confluent")])
def test_upsert_table(raw_key: bool, key_format: str) -> None:
    """The connector upsert-kafka with the key format of the topic."""
    table = flink_tables.with_key_format(LABELS, "raw") if raw_key else LABELS
    topic, view, _ = flink_tables.declare(table, ENDPOINTS)
    assert "'connector' = 'upsert-kafka'" in topic
    assert f"'key.format' = '{key_format}'" in topic
    assert ("'key.avro-confluent.subject' = 'labels-key'" in topic) is not raw_key
    assert "'value.fields-include' = 'ALL'" in topic
    assert "'sink.delivery-guarantee' = 'exactly-once'" in topic
    assert "PRIMARY KEY (`user_id`) NOT ENFORCED" in topic
    assert "`user_id` STRING NOT NULL" in topic
    assert view == "CREATE TEMPORARY VIEW `labels` AS SELECT `user_id`, `label` FROM `labels__changelog`"


def test_the_registered_schema_is_used() -> None:
    """Otherwise an INSERT would register a second version."""
    (topic, *_) = flink_tables.declare(PLAIN, ENDPOINTS, schema='{"a": "it\'s"}')
    assert "'avro-confluent.schema' = '{\"a\": \"it''s\"}'" in topic
    (topic, *_) = flink_tables.declare(LABELS, ENDPOINTS, schema='"value"', key='"key"')
    assert "'key.avro-confluent.schema' = '\"key\"'" in topic
    assert "'value.avro-confluent.schema' = '\"value\"'" in topic


def test_a_table_without_a_key_has_no_key_format() -> None:
    assert flink_tables.with_key_format(TOTALS, "raw") == TOTALS


def test_undeclare() -> None:
    """The views are dropped before the table that they read."""
    assert flink_tables.undeclare("t") == [
        "DROP TEMPORARY VIEW IF EXISTS `t__with_rowtime`",
        "DROP TEMPORARY VIEW IF EXISTS `t`",
        "DROP TEMPORARY TABLE IF EXISTS `t__changelog`",
    ]


def test_insert_into_a_retract_table() -> None:
    """The operation of each change is in the header op; an insert has no header."""
    statement = Insert("totals", ("n", "user_id"), "SELECT 1, 'a'")
    drop, view, write = flink_tables.insert(statement, TOTALS)
    assert drop == "DROP TEMPORARY VIEW IF EXISTS `totals__query`"
    assert view == "CREATE TEMPORARY VIEW `totals__query` (`n`, `user_id`) AS SELECT 1, 'a'"
    name = flink_tables.job_name(TOTALS, statement)
    assert write == (
        f"INSERT INTO `totals__changelog` /*+ OPTIONS('sink.transactional-id-prefix' = '{name}') */ "
        "(`n`, `user_id`, `$headers`) SELECT `n`, `user_id`, CASE op WHEN 'UPDATE_BEFORE' THEN MAP['op', X'01'] "
        "WHEN 'UPDATE_AFTER' THEN MAP['op', X'02'] WHEN 'DELETE' THEN MAP['op', X'03'] END "
        "FROM TO_CHANGELOG(input => TABLE `totals__query`)"
    )


def test_insert_into_an_append_table() -> None:
    """All columns of the table, and no header."""
    *_, write = flink_tables.insert(Insert("plain", (), "SELECT 'a', 1"), PLAIN)
    assert write.endswith("(`user_id`, `n`) SELECT `user_id`, `n` FROM `plain__query`")


def test_points_in_time() -> None:
    """The topic has the types of the format, the views and INSERTs convert; the schema is that of Confluent."""
    kinds = [field["type"] for field in json.loads(flink_tables.value_schema(TIMES))["fields"]]
    assert kinds == [
        ["null", {"type": "long", "logicalType": "timestamp-millis"}],
        ["null", {"type": "long", "logicalType": "local-timestamp-millis"}],
        {"type": "int", "logicalType": "date"},
    ]
    topic, view, timed = flink_tables.declare(TIMES, ENDPOINTS)
    assert "`at` TIMESTAMP(3),\n  `local_at` BIGINT,\n  `on_day` DATE NOT NULL,\n" in topic
    converted = (
        "SELECT CAST(`at` AS TIMESTAMP_LTZ(3)) AS `at`, "
        "CAST(TO_TIMESTAMP_LTZ(`local_at`, 3) AS TIMESTAMP(3)) AS `local_at`, `on_day`"
    )
    changes = "FROM_CHANGELOG(input => (SELECT `at`, `local_at`, `on_day`, `$op` FROM `times__changelog`)"
    assert f"{converted} FROM {changes}" in view
    assert f"{converted}, `$rowtime` FROM FROM_CHANGELOG(" in timed
    *_, write = flink_tables.insert(Insert("times", ("local_at", "on_day"), "SELECT 1, 2"), TIMES)
    assert (
        "(`local_at`, `on_day`, `$headers`) SELECT "
        "1000 * EXTRACT(EPOCH FROM `local_at`) + EXTRACT(MILLISECOND FROM `local_at`) AS `local_at`, `on_day`, CASE op"
    ) in write


def test_a_query_with_rowtime_outside_of_windows() -> None:
    """Wherever the query names it, quoted or not, all its tables have the column."""
    for query in ("SELECT MAX(`$rowtime`) FROM a JOIN b ON TRUE", "SELECT x FROM a JOIN b ON a.$rowtime = x"):
        expected = query.replace("FROM a", "FROM `a__with_rowtime`").replace("JOIN b", "JOIN `b__with_rowtime`")
        assert flink_tables.rowtime_query(query) == expected


def test_insert_into_a_missing_column() -> None:
    with pytest.raises(StatementError) as caught:
        flink_tables.insert(Insert("totals", ("user_id", "sum"), "SELECT 1"), TOTALS)
    assert str(caught.value) == "totals has no column sum; it has user_id, n"


def test_job_name_depends_on_the_statement_alone() -> None:
    """A statement keeps its transactional ids, and another statement gets others."""
    first, same, other = (Insert("totals", (), query) for query in ("SELECT 1", "SELECT 1", "SELECT 2"))
    assert flink_tables.job_name(TOTALS, first) == flink_tables.job_name(TOTALS, same)
    assert flink_tables.job_name(TOTALS, first) != flink_tables.job_name(TOTALS, other)


def test_only_queries_that_use_rowtime_read_it() -> None:
    """With its own timestamp, a retraction would match no row."""
    assert flink_tables.rowtime_query("SELECT * FROM totals") == "SELECT * FROM totals"
    assert flink_tables.rowtime_query("SELECT * FROM t -- $rowtime") == "SELECT * FROM t -- $rowtime"
    assert (
        flink_tables.rowtime_query("SELECT a FROM TABLE(HOP(TABLE totals, DESCRIPTOR($rowtime))) JOIN `b c` ON 1 = 1")
        == "SELECT a FROM TABLE(HOP(TABLE `totals__with_rowtime`, DESCRIPTOR($rowtime)))"
        " JOIN `b c__with_rowtime` ON 1 = 1"
    )
