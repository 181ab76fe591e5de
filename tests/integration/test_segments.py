"""--scale and --fit over restarts: another scale changes labels and nothing else."""

import numpy as np

from tests.support import inside, oracle, scaled
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.pipeline import Pipeline

N_USERS = 90
MANY_RUNS = 60


def customers(n_users: int, start: int = 0) -> list[Placed]:
    """New users with very different totals."""
    rng = np.random.default_rng(start)
    counts = rng.geometric(0.1, n_users).tolist()
    amounts = np.round(rng.lognormal(3, 1.5, n_users) * counts, 2).tolist()
    rows = [Row(f"user {start + at:03}", *each) for at, each in enumerate(zip(amounts, counts, strict=True))]
    return [Placed(0, Change(Op.INSERT, row)) for row in rows]


def labels(pipeline: Pipeline) -> dict[str, int]:
    """The label of each user."""
    return {user_id: row.label for user_id, row in pipeline.labelling().items()}


def run(pipeline: Pipeline, *options: str) -> set[str]:
    """Run to the end of the input; return the users that were written."""
    before = len(pipeline.emitted())
    inside.run_to_end(pipeline.arguments(*options))
    return {user_id for user_id, _ in pipeline.emitted()[before:]}


def test_another_scale_changes_only_labels(pipeline: Pipeline) -> None:
    first = customers(N_USERS)
    second = customers(10, start=N_USERS)
    pipeline.write(first)
    table = oracle.settled_table(change for _, change in first)
    expected = {scale: scaled.labels(table, 3, scale)[0] for scale in ("log", "standard")}
    expected["none"] = oracle.labels(table, 3)
    assert run(pipeline, "--scale", "log") == set(table)
    before = expected["log"]
    assert labels(pipeline) == before
    for scale in ("none", "standard", "log", "log"):
        written = run(pipeline, "--scale", scale)
        assert labels(pipeline) == expected[scale]
        assert written == {user for user in table if expected[scale][user] != before[user]}
        rows = pipeline.labelling().items()
        assert {user: (row.total_amount, row.num_transactions) for user, row in rows} == table
        before = expected[scale]

    # The best of many runs on the same users, and then on more users.
    best = scaled.labels(table, 3, "log", MANY_RUNS)[0]
    assert run(pipeline, "--scale", "log", "--fit", "cells") == {user for user in table if best[user] != before[user]}
    assert labels(pipeline) == best
    pipeline.write(second)
    table = oracle.settled_table(change for _, change in first + second)
    now = scaled.labels(table, 3, "log", MANY_RUNS)[0]
    changed = {user for user in table if now[user] != best.get(user)}
    assert run(pipeline, "--scale", "log", "--fit", "cells") == changed
    assert labels(pipeline) == now
    pipeline.assert_nothing_doubled()
    pipeline.assert_offsets_sound()
