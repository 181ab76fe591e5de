"""The judge is judged first: the oracle and the changelogs on cases worked by hand."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import oracle
from tests.support.changelog import Change, Op, Row, aggregation, cut, place_at_random, place_by_hash
from tests.support.client import ROOT
from tests.support.strategies import changelogs, interleavings, placements
from tests.support.wire import AGGREGATE_SCHEMA, body, frame, schema_id_of, unframe
from tests.support.workers import STACKS, UNITS, longest_first, unit_of

ANN_1, ANN_2 = Row("ann", 1.0, 1), Row("ann", 3.5, 2)
BOB = Row("bob", 9.0, 4)
HISTORY = [
    Change(Op.INSERT, ANN_1),
    Change(Op.INSERT, BOB),
    Change(Op.UPDATE_BEFORE, ANN_1),
    Change(Op.UPDATE_AFTER, ANN_2),
    Change(Op.DELETE, BOB),
]


def test_replay_by_hand() -> None:
    assert oracle.replay(HISTORY[:2]) == {"ann": Counter({(1.0, 1): 1}), "bob": Counter({(9.0, 4): 1})}
    assert oracle.replay(HISTORY[2:3]) == {"ann": Counter({(1.0, 1): -1})}
    assert oracle.settled_table(HISTORY) == {"ann": (3.5, 2)}


def test_an_unsettled_changelog_has_no_table() -> None:
    with pytest.raises(ValueError, match="not settled: ann"):
        oracle.settled_table(HISTORY[:3] + HISTORY[:1] + HISTORY[3:])


def test_labels_by_hand() -> None:
    table = {"ann": (10.0, 1), "bob": (2000.0, 9), "cem": (12.0, 1), "dea": (500.0, 4), "eva": (510.0, 4)}
    assert oracle.labels(table, 3) == {"ann": 0, "bob": 2, "cem": 0, "dea": 1, "eva": 1}
    assert oracle.labels(table, 6) == dict.fromkeys(table, 0)


@given(st.data())
def test_order_of_reading_does_not_matter_to_the_multiset(data: st.DataObject) -> None:
    changes = data.draw(changelogs())
    read = data.draw(interleavings(data.draw(placements(changes))))
    assert oracle.settled_table(placed.change for placed in read) == oracle.settled_table(changes)


def test_the_made_changelog_has_every_kind_of_change_and_comes_back() -> None:
    changes = aggregation(seed=1, n_users=20, n_transactions=400)
    assert {change.op for change in changes} == set(Op)
    inserted = Counter(change.row.user_id for change in changes if change.op is Op.INSERT)
    assert max(inserted.values()) > 1
    oracle.settled_table(changes)


def test_hashing_parts_the_two_records_of_an_update() -> None:
    placed = place_by_hash(aggregation(seed=1, n_users=20, n_transactions=400), 6)
    assert {record.partition for record in placed} == set(range(6))
    pairs = pairwise(placed)
    apart = [after for before, after in pairs if after.change.op is Op.UPDATE_AFTER and before[0] != after[0]]
    assert apart
    where: dict[Row, set[int]] = {}
    for partition, change in placed:
        where.setdefault(change.row, set()).add(partition)
    assert all(len(partitions) == 1 for partitions in where.values())


def test_cutting_keeps_every_record() -> None:
    placed = place_at_random(HISTORY, 3, seed=1)
    pieces = cut(placed, [4, 2, 0, 99])
    assert [len(piece) for piece in pieces] == [2, 2, 1]
    assert [record for piece in pieces for record in piece] == placed


def test_framing_round_trip() -> None:
    value = frame(258, body(AGGREGATE_SCHEMA, BOB._asdict()))
    assert value[:5] == b"\0\0\0\x01\x02"
    assert schema_id_of(value) == 258
    assert unframe(AGGREGATE_SCHEMA, value) == BOB._asdict()
    with pytest.raises(ValueError, match="left over"):
        unframe(AGGREGATE_SCHEMA, value + b"\0")


def test_workers_get_the_longest_units_first_and_share_services_within_a_unit() -> None:
    nodeids = [
        "tests/end_to_end/test_stack.py::test_demo",
        "tests/end_to_end/test_stack.py::test_load",
        "tests/faults/test_kills.py::test_kill_9",
        "tests/faults/test_resets.py::test_reset[one]",
        "tests/hostile/test_topics.py::test_names",
        "tests/end_to_end/test_own_data.py::test_data",
        "tests/end_to_end/test_segments.py::test_segments",
    ]
    assert [nodeids.index(nodeid) for nodeid in longest_first(nodeids)] == [5, 6, 2, 3, 0, 1, 4]
    assert len({unit_of(nodeid) for nodeid in nodeids}) == 5
    assert unit_of(nodeids[4]) == "tests/hostile/test_topics.py"


def test_the_units_of_workers_exist() -> None:
    beginnings = [ROOT / beginning for beginning in UNITS]
    assert [path for path in beginnings if not list(path.parent.glob(f"{path.name}*"))] == []
    assert all((ROOT / path).is_file() for path in STACKS)
