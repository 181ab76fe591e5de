"""Inputs that are no retract changelog: the last record of a user wins."""

from tests.conftest import MakePipeline
from tests.support import inside, oracle
from tests.support.changelog import Row
from tests.support.oracle import Table
from tests.support.pipeline import Pipeline
from tests.support.topics import Outgoing
from tests.support.wire import AGGREGATE_SCHEMA, KEY_SCHEMA, body, frame

ROWS = [Row(f"user {number}", 10.0 * number, number) for number in range(1, 9)]
LATER = [Row("user 2", 500.0, 9), Row("user 5", 1.0, 1), Row("user 2", 510.0, 10)]


def value(pipeline: Pipeline, row: Row) -> bytes:
    """A row as it lies in the topic."""
    return frame(pipeline.schema_id, body(AGGREGATE_SCHEMA, row._asdict()))


def table(rows: list[Row]) -> Table:
    """What the last row of each user says."""
    return {row.user_id: (row.total_amount, row.num_transactions) for row in rows}


def shown(pipeline: Pipeline) -> tuple[Table, dict[str, int]]:
    """The table and the labels in the output."""
    rows = pipeline.labelling().values()
    labels = {row.user_id: row.label for row in rows}
    return {row.user_id: (row.total_amount, row.num_transactions) for row in rows}, labels


def test_upsert_with_plain_keys(pipeline: Pipeline) -> None:
    rows = ROWS + LATER
    pipeline.topics.write(
        pipeline.source, [Outgoing(0, value(pipeline, row), [], row.user_id.encode()) for row in rows]
    )
    inside.run_to_end(pipeline.arguments("--changelog-mode", "upsert"))
    expected = table(rows)
    assert shown(pipeline) == (expected, oracle.labels(expected, 3))
    pipeline.topics.write(pipeline.source, [Outgoing(0, None, [], b"user 2"), Outgoing(0, None, [], b"nobody")])
    inside.run_to_end(pipeline.arguments("--changelog-mode", "upsert"))
    del expected["user 2"]
    assert shown(pipeline) == (expected, oracle.labels(expected, 3))
    assert dict(pipeline.emitted())["user 2"] is None
    pipeline.assert_offsets_sound()


def test_upsert_with_avro_keys(pipeline: Pipeline) -> None:
    key_id = pipeline.subjects.register(f"{pipeline.source}-key", KEY_SCHEMA)
    keys = {row.user_id: frame(key_id, body(KEY_SCHEMA, {"user_id": row.user_id})) for row in ROWS}
    records = [Outgoing(0, value(pipeline, row), [], keys[row.user_id]) for row in ROWS]
    pipeline.topics.write(pipeline.source, [*records, Outgoing(0, None, [], keys["user 3"])])
    inside.run_to_end(pipeline.arguments("--changelog-mode", "upsert"))
    expected = table([row for row in ROWS if row.user_id != "user 3"])
    assert shown(pipeline) == (expected, oracle.labels(expected, 3))


def test_append(pipeline: Pipeline) -> None:
    rows = ROWS + LATER
    pipeline.topics.write(pipeline.source, [Outgoing(0, value(pipeline, row), []) for row in rows])
    inside.run_to_end(pipeline.arguments("--changelog-mode", "append"))
    expected = table(rows)
    assert shown(pipeline) == (expected, oracle.labels(expected, 3))
    pipeline.topics.write(pipeline.source, [Outgoing(0, None, [], b"user 2")])
    failed = inside.run(pipeline.arguments("--changelog-mode", "append", "--until-end"))
    assert failed.code == 1
    assert f"{pipeline.source} [0] at offset {len(rows)}: no value (a tombstone)" in failed.stderr
    assert shown(pipeline) == (expected, oracle.labels(expected, 3))


def test_latest_begins_behind_what_is_there(make_pipeline: MakePipeline) -> None:
    """And is where it began after a stop, too, in a partition that had no news."""
    pipeline = make_pipeline(partitions=2)
    pipeline.configure("consumer", auto_offset_reset="latest")
    arguments = pipeline.arguments("--changelog-mode", "append")
    old = [Outgoing(number % 2, value(pipeline, row), []) for number, row in enumerate(ROWS)]
    pipeline.topics.write(pipeline.source, old)
    inside.run_to_end(arguments)
    assert pipeline.labelling() == {}
    pipeline.topics.write(pipeline.source, [Outgoing(0, value(pipeline, row), []) for row in LATER])
    inside.run_to_end(arguments)
    inside.run_to_end(arguments)
    assert shown(pipeline)[0] == table(LATER)


def test_the_group_of_the_file_is_used_unless_the_command_line_names_one(pipeline: Pipeline) -> None:
    pipeline.topics.write(pipeline.source, [Outgoing(0, value(pipeline, row), []) for row in ROWS])
    pipeline.configure("consumer", group_id=pipeline.group)
    without_group = [str(pipeline.file), "-t", pipeline.source, "-o", pipeline.output]
    inside.run_to_end(without_group)
    assert pipeline.offsets() == {0: len(ROWS)}
