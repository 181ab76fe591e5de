"""Records of one user in several partitions: the one written last counts, in whatever order they are read."""

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from classifier.errors import StateError
from classifier.kafka import last_written
from classifier.kafka.last_written import LastWritten
from classifier.reports import Reports
from classifier.users.offset_metadata import unordered_since
from tests.support.changelog import Row
from tests.support.wire import AGGREGATE_SCHEMA, body, frame
from tests.support.world import World, accidents

N_PARTITIONS = 3
Written = tuple[int, Row]  # partition, row


@pytest.fixture
def ends_without_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends as fast as the test reads."""
    monkeypatch.setattr(last_written, "ENDS_APART_SECONDS", 0.0)


class Writing(Reports):
    """Writes one of the records before each poll, so that ends lie between them."""

    def __init__(self, world: World, records: Iterator[Written], clock: Iterator[int], pauses: Iterator[bool]) -> None:
        super().__init__()
        self._world = world
        self._records = records
        self._clock = clock
        self._pauses = pauses

    def read(self, n_records: int, n_behind: int | None) -> None:
        """See Report."""
        if not next(self._pauses, False):
            self.write(1)

    def write(self, n_records: int) -> None:
        """Write the next records."""
        for partition, row in itertools.islice(self._records, n_records):
            value = frame(1, body(AGGREGATE_SCHEMA, row._asdict()))
            self._world.broker.append("in", partition, value, [], row.user_id.encode(), next(self._clock))


@pytest.mark.usefixtures("ends_without_delay")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_order_of_reading_gives_the_last_row_of_each_user(data: st.DataObject) -> None:
    """Some records are written before a run and some during it; any batches, restarts and accidents."""
    mode = data.draw(st.sampled_from(["append", "upsert"]))
    size = data.draw(st.sampled_from([1, 4, None]))
    users = st.sampled_from(["ann", "bob", "cyd"])
    drawn = data.draw(st.lists(st.tuples(st.integers(0, N_PARTITIONS - 1), users), min_size=1, max_size=40))
    records = [(partition, Row(user, float(number), 1)) for number, (partition, user) in enumerate(drawn)]
    world = World(partitions=N_PARTITIONS, changelog_mode=mode, batch_size=size, n_clusters=1)
    pauses = iter(data.draw(st.lists(st.booleans(), max_size=80)))
    writing = Writing(world, iter(records), itertools.count(1_000), pauses)
    writing.write(data.draw(st.integers(0, len(records))))
    while (ended := world.run(data.draw(accidents(world)), writing)) is not None or world.stop.requested:
        assert not isinstance(ended and ended.reason, StateError), ended
    writing.write(len(records))
    while (ended := world.run(report=writing)) is not None:
        raise ended.reason
    expected = {row.user_id: row.total_amount for _, row in records}
    assert {user_id: row.total_amount for user_id, row in world.labelling().items()} == expected


def test_a_restart_reads_again_what_may_not_be_the_last_record() -> None:
    """The newer row is read and committed first, and the older one after the restart."""
    world = World(partitions=2, changelog_mode="append", n_clusters=1)
    newer, older = (frame(1, body(AGGREGATE_SCHEMA, Row("ann", amount, 1)._asdict())) for amount in (2.0, 1.0))
    world.broker.append("in", 1, newer, [], None, 2_000)
    assert world.run() is None
    world.broker.append("in", 0, older, [], None, 1_000)
    assert world.run() is None
    assert world.labelling()["ann"].total_amount == 2.0


def test_a_writer_that_does_not_know_a_new_partition_yet() -> None:
    """Its newer row is committed before the client reads the older one in the new partition."""
    world = World(partitions=1, changelog_mode="append", n_clusters=1)
    newer, older = (frame(1, body(AGGREGATE_SCHEMA, Row("ann", amount, 1)._asdict())) for amount in (2.0, 1.0))
    world.broker.append("in", 0, newer, [], None, 2_000)
    assert world.run() is None
    world.broker.logs["in"].append([])
    world.broker.append("in", 1, older, [], None, 1_000)
    for _ in range(2):
        assert world.run() is None
        assert world.labelling()["ann"].total_amount == 2.0


def test_what_was_read_before_two_ends_is_not_read_again() -> None:
    world = World(partitions=2, changelog_mode="append", n_clusters=1, batch_size=1)
    for number in range(8):
        row = frame(1, body(AGGREGATE_SCHEMA, Row(f"u{number}", 1.0, 1)._asdict()))
        world.broker.append("in", number % 2, row, [], None, number)
        assert world.run() is None
    committed = {partition: at for (_, partition), at in world.broker.offsets.items()}
    since = unordered_since(committed)
    assert sum(at.offset - since.get(partition, at.offset) for partition, at in committed.items()) == 1


def test_records_of_a_user_without_timestamps_in_several_partitions_are_refused() -> None:
    """One alone is read: nothing is unclear."""
    ages = LastWritten("t")
    ages.begin({0: 0, 1: 0}, {})
    assert ages.is_newest("ann", 0, -1)
    assert ages.is_newest("ann", 0, -1)
    with pytest.raises(StateError, match=r"^t: records of 'ann' lie in several partitions and have no timestamps"):
        ages.is_newest("ann", 1, 5)


def test_a_later_record_of_a_partition_does_not_make_a_user_older() -> None:
    ages = LastWritten("t")
    ages.begin({0: 0, 1: 0}, {})
    assert ages.is_newest("ann", 0, 9)
    assert ages.is_newest("ann", 0, 3), "written later, by a clock that was set back"
    assert not ages.is_newest("ann", 1, 8)
    assert ages.is_newest("ann", 1, 9), "the higher partition"
    assert not ages.is_newest("ann", 0, 9)


@pytest.mark.usefixtures("ends_without_delay")
def test_the_leaders_are_asked_only_while_ages_are_kept() -> None:
    asked = list[Any]()
    ends = SimpleNamespace(wait=lambda: {0: 1, 1: 0})

    def request_ends(*, committed: bool, quiet: bool) -> SimpleNamespace:
        asked.append(1)
        return ends

    source = SimpleNamespace(positions={0: 1, 1: 0}, request_ends=request_ends, behind=lambda ends: set())
    ages = LastWritten("t")
    ages.begin({0: 0, 1: 0}, {})
    ages.note_end(source)  # type: ignore[arg-type]
    assert asked == []
    ages.is_newest("ann", 0, 1)
    for _ in range(5):
        ages.note_end(source)  # type: ignore[arg-type]
    assert len(asked) == 2, "two ends"
    assert ages.since == {0: 1, 1: 0}


@pytest.mark.usefixtures("ends_without_delay")
def test_a_record_that_is_written_after_the_leaders_were_asked_is_compared_until_the_next_end() -> None:
    answers: list[Any] = [None, {0: 1, 1: 0}]
    ends = SimpleNamespace(wait=lambda: answers.pop(0))
    source = SimpleNamespace(positions={0: 1, 1: 0}, request_ends=lambda **given: ends, behind=lambda ends: set())
    ages = LastWritten("t")
    ages.begin({0: 0, 1: 0}, {})
    ages.is_newest("bob", 0, 1)
    ages.note_end(source)  # type: ignore[arg-type]
    ages.is_newest("ann", 1, 9)
    ages.note_end(source)  # type: ignore[arg-type]
    assert not ages.is_newest("ann", 0, 8)
