"""What is written: only changed users; a tombstone only at the second end; `pending` while rows are in flight."""

from itertools import pairwise

from tests.conftest import MakePipeline
from tests.support import inside, oracle
from tests.support.changelog import Change, Op, Placed, Row, aggregation, place_by_hash
from tests.support.pipeline import Pipeline

OTHERS = [Row(f"other {number}", 100.0 * number, number) for number in range(1, 13)]


def inserts(rows: list[Row], partition: int = 0) -> list[Placed]:
    """Insert rows."""
    return [Placed(partition, Change(Op.INSERT, row)) for row in rows]


def update(old: Row, new: Row, partition: int = 0) -> list[Placed]:
    """Replace a row by another one."""
    return [
        Placed(partition, Change(Op.UPDATE_BEFORE, old)),
        Placed(partition, Change(Op.UPDATE_AFTER, new)),
    ]


def changes_of(placed: list[Placed]) -> list[Change]:
    """The changes, without their partitions."""
    return [change for _, change in placed]


def test_only_users_whose_row_or_label_changed_are_written(pipeline: Pipeline) -> None:
    start = inserts([Row(f"user {number:02}", 10.0 * number, number) for number in range(1, 41)])
    before = oracle.labelled(changes_of(start))
    pipeline.write(start)
    inside.run_to_end(pipeline.arguments())
    assert sorted(row for _, row in pipeline.emitted() if row) == sorted(before.values())
    # One user spends a little more, another so much that others change their cluster.
    more = update(Row("user 03", 30.0, 3), Row("user 03", 30.5, 4)) + update(
        Row("user 40", 400.0, 40), Row("user 40", 4000.0, 41)
    )
    pipeline.write(more)
    inside.run_to_end(pipeline.arguments())
    after = oracle.labelled(changes_of(start + more))
    changed = {user_id for user_id in after if after[user_id] != before[user_id]}
    assert {"user 03", "user 40"} < changed < set(after)
    written = pipeline.emitted()[len(before) :]
    assert sorted(written) == sorted((user_id, after[user_id]) for user_id in changed)


def test_a_deleted_user_gets_a_tombstone_without_a_further_record(pipeline: Pipeline) -> None:
    start = inserts(OTHERS)
    pipeline.write([*start, Placed(0, Change(Op.DELETE, OTHERS[0])), Placed(0, Change(Op.DELETE, OTHERS[5]))])
    inside.run_to_end(pipeline.arguments("--batch-size", "12"))
    deleted = [user_id for user_id, row in pipeline.emitted() if row is None]
    assert sorted(deleted) == sorted({OTHERS[0].user_id, OTHERS[5].user_id})
    assert set(pipeline.labelling()) == {row.user_id for row in OTHERS} - set(deleted)
    # A user who returns is labelled again.
    pipeline.write(inserts([Row(OTHERS[0].user_id, 7.0, 1)]))
    inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling()[OTHERS[0].user_id][1:3] == (7.0, 1)


def test_all_users_are_deleted(pipeline: Pipeline) -> None:
    start = inserts(OTHERS)
    pipeline.write(start)
    inside.run_to_end(pipeline.arguments())
    pipeline.write([Placed(0, Change(Op.DELETE, row)) for row in OTHERS])
    inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == {}
    inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == {}


def test_no_tombstone_while_a_partition_is_behind(make_pipeline: MakePipeline) -> None:
    """Two users whose -U is first in one partition and whose +U is last in the other, in opposite directions.

    Whichever partition is read first, one of them has no row for a while; neither may be deleted.
    """
    pipeline = make_pipeline(partitions=2)
    ann = (Row("ann", 10.0, 1), Row("ann", 20.0, 2))
    bob = (Row("bob", 30.0, 1), Row("bob", 40.0, 2))
    start = inserts([ann[0], bob[0]])
    pipeline.write(start)
    inside.run_to_end(pipeline.arguments())
    (ann_before, ann_after), (bob_before, bob_after) = update(*ann), update(*bob)
    first = [ann_before, *inserts(OTHERS[:6]), bob_after]
    second = [bob_before, *inserts(OTHERS[6:]), ann_after]
    more = [Placed(0, change) for _, change in first] + [Placed(1, change) for _, change in second]
    pipeline.write(more)
    inside.run_to_end(pipeline.arguments("--batch-size", "1"))
    emitted = pipeline.emitted()
    assert len(emitted) > len(more)  # one step per record
    assert [user_id for user_id, row in emitted if row is None] == []
    assert any(name == "pending" for record in pipeline.topics.read(pipeline.output) for name, _ in record.headers)
    assert pipeline.labelling() == oracle.labelled(changes_of(start + more))
    assert pipeline.pending() == {}


def test_rows_in_flight_stay_pending_over_a_restart(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(partitions=2)
    rows = [Row("ann", float(number), number) for number in range(1, 5)]
    history = inserts(rows[:1]) + [each for old, new in pairwise(rows) for each in update(old, new)]
    missing = Placed(1, Change(Op.UPDATE_AFTER, rows[1]))
    arrived = [each for each in history if each.change != missing.change]
    pipeline.write(inserts(OTHERS) + arrived)
    inside.run_to_end(pipeline.arguments())
    assert pipeline.pending() == {"ann": [[2.0, 2, -1]]}
    assert pipeline.labelling()["ann"][1:3] == (4.0, 4)
    inside.run_to_end(pipeline.arguments())
    assert pipeline.pending() == {"ann": [[2.0, 2, -1]]}
    pipeline.write([missing])
    inside.run_to_end(pipeline.arguments())
    assert pipeline.pending() == {}
    assert pipeline.labelling() == oracle.labelled(changes_of(inserts(OTHERS) + history))


def test_a_retraction_before_its_row(make_pipeline: MakePipeline) -> None:
    """The -D of a user is read before the +I is written: the user is never shown."""
    pipeline = make_pipeline(partitions=2)
    ghost = Row("ghost", 5.0, 1)
    pipeline.write([*inserts(OTHERS), Placed(0, Change(Op.DELETE, ghost))])
    inside.run_to_end(pipeline.arguments())
    assert pipeline.pending() == {"ghost": [[5.0, 1, -1]]}
    pipeline.write([Placed(1, Change(Op.INSERT, ghost))])
    inside.run_to_end(pipeline.arguments())
    assert [row for user_id, row in pipeline.emitted() if user_id == "ghost" and row] == []
    assert pipeline.pending() == {}
    assert pipeline.labelling() == oracle.labelled(changes_of(inserts(OTHERS)))


def test_a_row_inserted_twice_is_deleted_when_both_are_retracted(pipeline: Pipeline) -> None:
    twice = OTHERS[3]
    pipeline.write(inserts([*OTHERS, twice]))
    inside.run_to_end(pipeline.arguments())
    assert pipeline.pending() == {twice.user_id: [[twice.total_amount, twice.num_transactions, 1]]}
    for users in (OTHERS, [row for row in OTHERS if row != twice]):
        pipeline.write([Placed(0, Change(Op.DELETE, twice))])
        inside.run_to_end(pipeline.arguments())
        assert pipeline.labelling() == oracle.labelled(changes_of(inserts(users)))
        assert pipeline.pending() == {}


def test_records_of_aborted_transactions_are_not_read(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(partitions=3)
    real = aggregation(seed=1, n_users=10, n_transactions=60)
    never = aggregation(seed=2, n_users=15, n_transactions=60)
    for changes, commit in ((never, False), (real[:50], True), (never, False), (real[50:], True), (never, False)):
        records = pipeline.outgoing(place_by_hash(changes, 3))
        pipeline.topics.write_in_transaction(pipeline.source, records, commit)
    with inside.counting_reads(pipeline.source) as read:
        inside.run_to_end(pipeline.arguments())
    assert read() == len(real)
    assert pipeline.labelling() == oracle.labelled(real)
