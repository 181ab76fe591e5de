"""--changelog-mode append and upsert: the last record of a user counts, and a retract changelog is refused."""

import pytest

from tests.conftest import MakePipeline
from tests.support import inside, oracle
from tests.support.changelog import Row, aggregation, place_by_hash
from tests.support.oracle import Table
from tests.support.pipeline import Pipeline
from tests.support.topics import Outgoing
from tests.support.wire import AGGREGATE_SCHEMA, KEY_SCHEMA, body, frame

ROWS = [Row(f"user {number}", 10.0 * number, number) for number in range(1, 9)]
LATER = [Row("user 2", 500.0, 9), Row("user 5", 1.0, 1), Row("user 2", 510.0, 10)]
RETRACTING = aggregation(seed=3, n_users=12, n_transactions=150)
REFUSED = "retracts a row, so this is a retract changelog"


def value(pipeline: Pipeline, row: Row) -> bytes:
    """A row as the value of a record."""
    return frame(pipeline.schema_id, body(AGGREGATE_SCHEMA, row._asdict()))


def table(rows: list[Row]) -> Table:
    """The last row of each user."""
    return {row.user_id: (row.total_amount, row.num_transactions) for row in rows}


def shown(pipeline: Pipeline) -> tuple[Table, dict[str, int]]:
    """The table and the labels of the output."""
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


def test_latest_begins_at_the_end_of_the_input(make_pipeline: MakePipeline) -> None:
    """The next run begins there, too, in a partition that got no record."""
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


def test_the_group_of_the_file_is_used_where_the_command_line_names_none(pipeline: Pipeline) -> None:
    pipeline.topics.write(pipeline.source, [Outgoing(0, value(pipeline, row), []) for row in ROWS])
    pipeline.configure("consumer", group_id=pipeline.group)
    without_group = [str(pipeline.file), "-t", pipeline.source, "-o", pipeline.output]
    inside.run_to_end(without_group)
    assert pipeline.offsets() == {0: len(ROWS)}


def retract_topic(make_pipeline: MakePipeline, digits: bool = False) -> Pipeline:
    """An input as Flink writes it: in transactions, to six partitions by the hash of the row."""
    pipeline = make_pipeline(partitions=6)
    placed = place_by_hash(RETRACTING, 6)
    for start in range(0, len(placed), 50):
        records = pipeline.outgoing(placed[start : start + 50], digits)
        pipeline.topics.write_in_transaction(pipeline.source, records, commit=True)
    return pipeline


@pytest.mark.parametrize("mode", ["append", "upsert"])
@pytest.mark.parametrize("digits", [False, True])
def test_a_run_and_check_refuse_a_retract_changelog(mode: str, digits: bool, make_pipeline: MakePipeline) -> None:
    pipeline = retract_topic(make_pipeline, digits)
    wrong = pipeline.arguments("--changelog-mode", mode)
    checked = inside.run([*wrong, "--check"])
    assert checked.code == 1
    assert f"TO DO   topic {pipeline.source}, --changelog-mode {mode}: {pipeline.source} [" in checked.stdout
    assert f"{REFUSED}; run with --changelog-mode retract\n" in checked.stdout
    assert pipeline.offsets() == {}, "--check commits nothing"
    refused = inside.run([*wrong, "--until-end"])
    assert (refused.code, pipeline.labelling()) == (1, {})
    assert refused.stderr.endswith(f"{REFUSED}: run with --changelog-mode retract\n")
    inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == oracle.labelled(RETRACTING)
    checked = inside.run(pipeline.arguments("--check"))
    assert (checked.code, REFUSED in checked.stdout) == (0, False)
    assert f"ok      topic {pipeline.source}, rows per user: one at the last commit" in checked.stdout


def test_check_does_not_wait_for_an_open_transaction(make_pipeline: MakePipeline) -> None:
    pipeline = retract_topic(make_pipeline)
    pipeline.topics.write_in_transaction(
        pipeline.source, pipeline.outgoing(place_by_hash(RETRACTING[:3], 6)), commit=False
    )
    assert inside.run(pipeline.arguments("--changelog-mode", "append", "--check")).code == 1
