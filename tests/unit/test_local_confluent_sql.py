"""The parser for Confluent Cloud's SQL: the pipeline's statements, and the messages for unsupported ones."""

import pytest

from local.sql.confluent_sql import (
    Column,
    CreateTable,
    Insert,
    Select,
    StatementError,
    Table,
    duration_ms,
    parse,
    tables_read,
    tokenize,
)
from local.sql.workspace import SQL_DIRECTORY, pipeline_files

TYPES = "BIGINT, BOOLEAN, BYTES, DATE, DOUBLE, FLOAT, INT, STRING, TIMESTAMP(3), TIMESTAMP_LTZ(3)"


def create(text: str) -> Table:
    """Return the table of a CREATE TABLE."""
    statement = parse(text)
    assert isinstance(statement, CreateTable)
    return statement.table


def message(text: str) -> str:
    """Return the message for a statement that is rejected."""
    with pytest.raises(StatementError) as caught:
        parse(text)
    return str(caught.value)


def test_pipeline_files() -> None:
    """Eight files with one statement each, in order."""
    statements = [parse(path.read_text(encoding="utf-8")) for path in pipeline_files()]
    kinds = [type(statement) for statement in statements]
    assert kinds == [CreateTable, Insert, CreateTable, Insert, CreateTable, CreateTable, Insert, Select]
    reads = [[token.identifier for token in tables_read(s.query)] for s in statements if isinstance(s, Insert | Select)]
    assert reads == [["transactions"], ["transactions_enriched"], ["user_labeling"], ["user_labeling_final"]]


def test_scale_out_files() -> None:
    """Four files, for the time between statements 5 and 6; tables in subqueries are found too."""
    statements = [parse(path.read_text(encoding="utf-8")) for path in sorted(SQL_DIRECTORY.glob("scale_out/*.sql"))]
    cells, counts, labels, labelling = statements
    assert isinstance(cells, CreateTable)
    assert isinstance(labels, CreateTable)
    assert [cells.table.name, labels.table.name] == ["user_cells", "user_cell_labels"]
    for table in (cells.table, labels.table):
        assert table.key_columns == [Column("cell", "INT", nullable=False)]
        assert (table.changelog_mode, table.buckets, table.has_raw_key) == ("upsert", 6, False)
    assert isinstance(counts, Insert)
    assert isinstance(labelling, Insert)
    assert (counts.target, labelling.target) == ("user_cells", "user_labeling")
    reads = [[token.identifier for token in tables_read(each.query)] for each in (counts, labelling)]
    assert reads == [["transactions_aggregate"], ["user_cell_labels", "transactions_aggregate"]]


@pytest.mark.parametrize(
    ("folder", "kinds"),
    [
        ("rfm", [CreateTable, Insert, CreateTable, CreateTable, Insert, Select]),
        ("accounts", [CreateTable, Insert, CreateTable, Insert, CreateTable, CreateTable, Insert, Select]),
    ],
)
def test_files_of_the_examples(folder: str, kinds: list[type]) -> None:
    """Labels have raw keys, and the columns of the input between user_id and label."""
    paths = sorted((SQL_DIRECTORY / folder).glob("*.sql"))
    assert [int(path.name.split("_")[0]) for path in paths] == list(range(1, len(kinds) + 1))
    statements = [parse(path.read_text(encoding="utf-8")) for path in paths]
    assert [type(each) for each in statements] == kinds
    *_, totals, labels, final = [each.table for each in statements if isinstance(each, CreateTable)]
    assert labels.has_raw_key
    assert (labels.primary_key, labels.buckets, labels.options["kafka.cleanup-policy"]) == (("user_id",), 1, "compact")
    assert [*totals.column_names, "label"] == labels.column_names == final.column_names
    assert [column.type for column in labels.columns] == [column.type for column in final.columns]
    assert {totals.changelog_mode, final.changelog_mode} == {"retract"}


def test_create_table_in_another_layout() -> None:
    """No space before WITH, a trailing space, no primary key."""
    table = create("CREATE TABLE t (\n  id BIGINT,\n  name STRING \n)WITH (\n    'changelog.mode' = 'retract'\n);")
    assert table == Table(
        "t", (Column("id", "BIGINT"), Column("name", "STRING")), options={"changelog.mode": "retract"}
    )
    assert (table.changelog_mode, table.buckets) == ("retract", 6)


def test_create_table_with_all_clauses() -> None:
    """Key columns are NOT NULL in any case; names may be quoted; keywords are case-insensitive."""
    table = create(
        "create table if not exists `my table` (id STRING, n INT NOT NULL, PRIMARY KEY (id) NOT ENFORCED)"
        " DISTRIBUTED BY HASH(id) INTO 1 BUCKETS WITH ('changelog.mode' = 'upsert', 'kafka.retention.time' = '0')"
    )
    assert table.name == "my table"
    assert table.columns == (Column("id", "STRING", nullable=False), Column("n", "INT", nullable=False))
    assert (table.primary_key, table.buckets) == (("id",), 1)


def test_points_in_time() -> None:
    table = create("CREATE TABLE t (a TIMESTAMP_LTZ(3) NOT NULL, b timestamp ( 3 ), c DATE)")
    assert table.columns == (
        Column("a", "TIMESTAMP_LTZ(3)", nullable=False),
        Column("b", "TIMESTAMP(3)"),
        Column("c", "DATE"),
    )


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("CREATE TABLE t (a INT)", "append"),
        ("CREATE TABLE t (a INT, PRIMARY KEY (a) NOT ENFORCED)", "upsert"),
        ("CREATE TABLE t (a INT) WITH ('changelog.mode' = 'retract')", "retract"),
    ],
)
def test_changelog_mode(text: str, mode: str) -> None:
    """The defaults are those of Confluent Cloud."""
    assert create(text).changelog_mode == mode


@pytest.mark.parametrize(
    ("options", "raw"),
    [("", False), (" WITH ('key.format' = 'avro-registry')", False), (" WITH ('key.format' = 'raw')", True)],
)
def test_key_format(options: str, raw: bool) -> None:
    """The default is Avro."""
    assert create(f"CREATE TABLE t (a STRING, PRIMARY KEY (a) NOT ENFORCED){options}").has_raw_key is raw


def test_statement_5_has_raw_keys() -> None:
    """So its topic has no key subject, like a topic created by hand."""
    (path,) = (path for path in pipeline_files() if path.name.startswith("5_"))
    assert create(path.read_text(encoding="utf-8")).has_raw_key


def test_insert() -> None:
    """The query keeps its text, without comments around it."""
    statement = parse("-- head\nINSERT INTO t (a, b)\nSELECT x, 'it''s; -- no comment' FROM s -- why\n;\n-- after\n")
    assert statement == Insert("t", ("a", "b"), "SELECT x, 'it''s; -- no comment' FROM s")
    assert parse("INSERT INTO t SELECT 1") == Insert("t", (), "SELECT 1")


def test_tables_read() -> None:
    """Names after FROM, JOIN and TABLE; not brackets or table functions."""
    query = "SELECT * FROM a JOIN `b c` ON TRUE JOIN (SELECT 1 FROM d) FROM TABLE(HOP(TABLE e, DESCRIPTOR(x)))"
    assert [token.identifier for token in tables_read(query)] == ["a", "b c", "d", "e"]


def test_comments_and_spaces_are_skipped() -> None:
    assert [token.text for token in tokenize("a -- b\n /* c\n d */ 'e' 1.5 ;")] == ["a", "'e'", "1.5"]


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("0", 0), ("500", 500), ("5 ms", 5), ("10 s", 10_000), ("2 min", 120_000), ("7d", 604_800_000)],
)
def test_duration(text: str, milliseconds: int) -> None:
    """In Flink's notation."""
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1: expected CREATE TABLE, INSERT INTO or SELECT, found the end of the statement"),
        ("-- nothing\n", "line 2: expected CREATE TABLE, INSERT INTO or SELECT, found the end of the statement"),
        ("DROP TABLE t", "line 1: expected CREATE TABLE, INSERT INTO or SELECT, found DROP"),
        (
            "SELECT 1; SELECT 2",
            "more than one statement; run one at a time, as in a workspace cell",
        ),
        (
            "CREATE TABLE t (\n  a DECIMAL(10, 2)\n)",
            f"line 2: expected one of the types {TYPES}, found DECIMAL",
        ),
        ("CREATE TABLE t (at TIMESTAMP(6))", f"line 1: expected one of the types {TYPES}, found TIMESTAMP(6)"),
        ("CREATE TABLE t (at TIMESTAMP_LTZ)", f"line 1: expected one of the types {TYPES}, found TIMESTAMP_LTZ"),
        ("CREATE TABLE t (at TIMESTAMP(3)", "line 1: expected ), found the end of the statement"),
        ("CREATE TABLE t (a INT", "line 1: expected ), found the end of the statement"),
        ("CREATE TABLE t (a INT) PARTITIONED BY (a)", "line 1: expected the end of the statement, found PARTITIONED"),
        (
            "CREATE TABLE t (a INT) WITH (changelog = 'x')",
            "line 1: expected a string in single quotes, found changelog",
        ),
        ("CREATE TABLE 1 (a INT)", "line 1: expected a name, found 1"),
        (
            "CREATE TABLE t (a INT) DISTRIBUTED INTO 0 BUCKETS",
            "INTO 0 BUCKETS: the number must be a whole number >= 1",
        ),
        (
            "CREATE TABLE t (a INT) WITH ('connector' = 'kafka')",
            "t: unknown option 'connector'; supported are changelog.mode, kafka.cleanup-policy, kafka.retention.time, "
            "key.format, value.fields-include",
        ),
        (
            "CREATE TABLE t (a INT) WITH ('changelog.mode' = 'delta')",
            "t: 'changelog.mode' = 'delta'; supported are append, retract, upsert",
        ),
        (
            "CREATE TABLE t (a INT) WITH ('kafka.retention.time' = 'long')",
            "'long' is not a duration; write e.g. '7 d', '12 h', '30 min', or '0' for no limit",
        ),
        (
            "CREATE TABLE t (a INT) WITH ('changelog.mode' = 'upsert')",
            "t: 'changelog.mode' = 'upsert' needs a PRIMARY KEY (column) NOT ENFORCED",
        ),
        (
            "CREATE TABLE t (a INT, PRIMARY KEY (a) NOT ENFORCED) WITH ('changelog.mode' = 'retract')",
            "t: a PRIMARY KEY is supported here only with 'changelog.mode' = 'upsert'",
        ),
        (
            "CREATE TABLE t (a INT, PRIMARY KEY (b) NOT ENFORCED)",
            "t: PRIMARY KEY names columns that the table does not have: b",
        ),
        (
            "CREATE TABLE t (a STRING, PRIMARY KEY (a) NOT ENFORCED) WITH ('key.format' = 'json-registry')",
            "t: 'key.format' = 'json-registry'; supported are avro-registry, raw",
        ),
        (
            "CREATE TABLE t (a STRING) WITH ('key.format' = 'raw')",
            "t: 'key.format' needs a PRIMARY KEY (column) NOT ENFORCED",
        ),
        (
            "CREATE TABLE t (a INT, PRIMARY KEY (a) NOT ENFORCED) WITH ('key.format' = 'raw')",
            "t: 'key.format' = 'raw' needs a PRIMARY KEY of one STRING column",
        ),
        (
            "CREATE TABLE t (a STRING, b STRING, PRIMARY KEY (a, b) NOT ENFORCED) WITH ('key.format' = 'raw')",
            "t: 'key.format' = 'raw' needs a PRIMARY KEY of one STRING column",
        ),
        ("INSERT INTO t VALUES (1)", "line 1: expected SELECT, found VALUES"),
    ],
)
def test_a_statement_that_is_not_supported(text: str, expected: str) -> None:
    """The message names the position and what is supported."""
    assert message(text) == expected
