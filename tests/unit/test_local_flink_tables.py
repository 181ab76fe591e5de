"""A Confluent table on open-source Flink: schemas, declarations, inserts."""

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
PLAIN = Table("plain", (Column("user_id", "STRING"), Column("n", "BIGINT")))


def test_value_schema_is_confluents() -> None:
    """Nullable columns are unions with default null; key columns are not."""
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
    """Confluent's default: what the key holds is not said twice."""
    table = replace(LABELS, options={"changelog.mode": "upsert"})
    fields = json.loads(flink_tables.value_schema(table))["fields"]
    assert fields == [{"name": "label", "type": ["null", "int"], "default": None}]
    (topic, *_) = flink_tables.declare(table, ENDPOINTS)
    assert "'value.fields-include' = 'EXCEPT_KEY'" in topic


def test_key_schema() -> None:
    """The key columns alone; none without a primary key, or for a plain one."""
    key = flink_tables.key_schema(LABELS)
    assert key is not None
    assert json.loads(key)["fields"] == [{"name": "user_id", "type": "string"}]
    assert flink_tables.key_schema(TOTALS) is None
    assert flink_tables.key_schema(flink_tables.with_key_format(LABELS, "raw")) is None


@pytest.mark.parametrize("table", [TOTALS, LABELS, PLAIN])
def test_schema_and_table_are_two_ways_to_say_the_same(table: Table) -> None:
    """What Confluent registers for a table is inferred as the same columns."""
    schema = flink_tables.value_schema(table)
    parse_schema(json.loads(schema))
    assert inference.table_of_schema(table.name, schema).columns == table.columns


def test_retract_table() -> None:
    """The topic with headers, operation and time; the view of its changelog; the same with $rowtime."""
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
    """upsert-kafka, with the key format the topic has."""
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


def test_registered_schema_is_used_as_it_is() -> None:
    """Writing must not register a second version."""
    (topic, *_) = flink_tables.declare(PLAIN, ENDPOINTS, schema='{"a": "it\'s"}')
    assert "'avro-confluent.schema' = '{\"a\": \"it''s\"}'" in topic
    (topic, *_) = flink_tables.declare(LABELS, ENDPOINTS, schema='"value"', key='"key"')
    assert "'key.avro-confluent.schema' = '\"key\"'" in topic
    assert "'value.avro-confluent.schema' = '\"value\"'" in topic


def test_key_format_is_of_tables_with_a_key() -> None:
    """A table without is left as it is."""
    assert flink_tables.with_key_format(TOTALS, "raw") == TOTALS


def test_undeclare() -> None:
    """The views before the table they read."""
    assert flink_tables.undeclare("t") == [
        "DROP TEMPORARY VIEW IF EXISTS `t__with_rowtime`",
        "DROP TEMPORARY VIEW IF EXISTS `t`",
        "DROP TEMPORARY TABLE IF EXISTS `t__changelog`",
    ]


def test_insert_into_a_retract_table() -> None:
    """The query's changes, their operation in the header op; +I has no header."""
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
    """Without columns: all of the table's; no changelog."""
    *_, write = flink_tables.insert(Insert("plain", (), "SELECT 'a', 1"), PLAIN)
    assert write.endswith("(`user_id`, `n`) SELECT `user_id`, `n` FROM `plain__query`")


def test_insert_into_a_column_that_is_not_there() -> None:
    """Named, with those that are."""
    with pytest.raises(StatementError) as caught:
        flink_tables.insert(Insert("totals", ("user_id", "sum"), "SELECT 1"), TOTALS)
    assert str(caught.value) == "totals has no column sum; it has user_id, n"


def test_job_name_depends_on_the_statement_alone() -> None:
    """The same text finds its Kafka transactions again; another does not touch them."""
    first, same, other = (Insert("totals", (), query) for query in ("SELECT 1", "SELECT 1", "SELECT 2"))
    assert flink_tables.job_name(TOTALS, first) == flink_tables.job_name(TOTALS, same)
    assert flink_tables.job_name(TOTALS, first) != flink_tables.job_name(TOTALS, other)


def test_rowtime_is_there_for_queries_that_name_it() -> None:
    """Others must not see it: with a time of its own, a retraction equals no row."""
    assert flink_tables.rowtime_query("SELECT * FROM totals") == "SELECT * FROM totals"
    assert flink_tables.rowtime_query("SELECT * FROM t -- $rowtime") == "SELECT * FROM t -- $rowtime"
    assert (
        flink_tables.rowtime_query("SELECT a FROM TABLE(HOP(TABLE totals, DESCRIPTOR($rowtime))) JOIN `b c` ON 1 = 1")
        == "SELECT a FROM TABLE(HOP(TABLE `totals__with_rowtime`, DESCRIPTOR($rowtime)))"
        " JOIN `b c__with_rowtime` ON 1 = 1"
    )
