"""End offsets as the leaders report them: late answers, failed requests, and leaders that never answer."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import IsolationLevel, KafkaError, TopicPartition

from classifier.kafka.end_check import EndCheck
from classifier.kafka.ends import EndOffsets
from classifier.kafka.source import Source
from tests.support.fakes import FakeBroker, FakeConsumer, end_of, failure
from tests.support.memory import KafkaInMemory, in_memory


class Leaders:
    """Keeps each request to the leaders until the test answers it."""

    def __init__(self) -> None:
        self.requests: list[tuple[int, Future[Any]]] = []
        self.isolation_levels: list[IsolationLevel] = []

    def list_offsets(
        self, wanted: dict[TopicPartition, Any], isolation_level: IsolationLevel, request_timeout: float
    ) -> dict[TopicPartition, Future[Any]]:
        """See AdminClient."""
        self.isolation_levels.append(isolation_level)
        asked: dict[TopicPartition, Future[Any]] = {at: Future() for at in wanted}
        self.requests += [(at.partition, future) for at, future in asked.items()]
        return asked

    def answer(self, partition: int, offset: int) -> None:
        """Answer the last request for a partition."""
        self._last(partition).set_result(SimpleNamespace(offset=offset))

    def refuse(self, partition: int) -> None:
        """Fail the last request for a partition."""
        self._last(partition).set_exception(failure(KafkaError.NOT_LEADER_FOR_PARTITION))

    def _last(self, partition: int) -> Future[Any]:
        return [future for asked, future in self.requests if asked == partition][-1]


@pytest.fixture
def leaders(monkeypatch: pytest.MonkeyPatch) -> Leaders:
    """Leaders for clients in memory."""
    made = Leaders()
    monkeypatch.setattr(KafkaInMemory, "admin", lambda self, section: made)
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that the test sets; sleeping and waiting advance it."""
    time = SimpleNamespace(now=100.0)

    def sleep(seconds: float) -> None:
        time.now += seconds

    monkeypatch.setattr("classifier.kafka.ends.time", SimpleNamespace(monotonic=lambda: time.now, sleep=sleep))
    wall = SimpleNamespace(monotonic=lambda: time.now, time=lambda: time.now)
    monkeypatch.setattr("classifier.kafka.end_check.time", wall)
    return time


def ends_of(n_partitions: int, **options: bool) -> EndOffsets:
    """Ask the leaders of some partitions of topic t."""
    return EndOffsets(in_memory(), "t", range(n_partitions), **options)


@pytest.mark.usefixtures("clock")
def test_ends_are_complete_once_every_leader_has_answered(leaders: Leaders) -> None:
    ends = ends_of(2)
    assert ends.wait() is None
    leaders.answer(1, 9)
    assert ends.wait() is None
    leaders.answer(0, 5)
    assert ends.wait() == {0: 5, 1: 9}
    assert ends.wait() == {0: 5, 1: 9}
    assert len(leaders.requests) == 2, "each leader was asked once"


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("committed", "level"), [(True, IsolationLevel.READ_COMMITTED), (False, IsolationLevel.READ_UNCOMMITTED)]
)
def test_open_transactions_count_on_request(leaders: Leaders, committed: bool, level: IsolationLevel) -> None:
    ends_of(1, committed=committed)
    assert leaders.isolation_levels == [level]


def test_a_failed_request_is_repeated_after_a_pause(leaders: Leaders, clock: SimpleNamespace) -> None:
    ends = ends_of(2)
    leaders.answer(0, 5)
    leaders.refuse(1)
    assert ends.wait() is None
    assert ends.wait() is None
    assert len(leaders.requests) == 2, "not within the pause"
    clock.now += 1.0
    assert ends.wait() is None
    assert [partition for partition, _ in leaders.requests] == [0, 1, 1]
    leaders.answer(1, 9)
    assert ends.wait() == {0: 5, 1: 9}


def test_a_leader_that_does_not_answer_is_logged_once(
    leaders: Leaders, clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    ends = ends_of(3)
    leaders.answer(1, 9)
    leaders.refuse(2)
    ends.wait()
    clock.now += 9.9
    ends.wait()
    assert caplog.records == []
    clock.now += 0.2
    for _ in range(2):
        ends.wait()
    (line,) = [each.getMessage() for each in caplog.records]
    assert line.startswith("t [0], [2]: the leader does not report the end of the partition (")
    assert "made up" in line
    leaders.answer(0, 5)
    leaders.answer(2, 7)
    assert ends.wait() == {0: 5, 1: 9, 2: 7}
    assert caplog.records[-1].getMessage() == "t: the leader of every partition answers again"


# EndCheck


def source_at_end(*ends: int) -> Source:
    """A source of topic t that its last fetches have taken to these offsets."""
    broker = FakeBroker(t=len(ends))
    consumer = FakeConsumer(broker, seed=1)
    messages = [end_of("t", partition, offset) for partition, offset in enumerate(ends)]
    consumer.consume = lambda limit, timeout: messages  # type: ignore[method-assign]
    source = Source(in_memory(consumer=consumer), in_memory(consumer=consumer).consumer(), "t", dict(enumerate(ends)))
    source.read(10, 0.0)
    assert source.at_end
    return source


@pytest.mark.usefixtures("clock")
def test_an_end_is_confirmed_by_all_leaders(leaders: Leaders) -> None:
    source, check = source_at_end(5, 9), EndCheck()
    check.request(source)
    assert check.positions == {0: 5, 1: 9}
    leaders.answer(0, 5)
    assert (check.requested, check.unanswered) == (True, True)
    leaders.answer(1, 9)
    assert (check.requested, check.unanswered) == (True, False)
    assert check.confirm(source)
    assert (check.requested, check.unanswered) == (False, False)
    assert len(leaders.requests) == 2


@pytest.mark.usefixtures("clock")
def test_an_end_is_not_confirmed_while_a_leader_has_more(leaders: Leaders) -> None:
    source, check = source_at_end(5, 9), EndCheck()
    check.request(source)
    leaders.answer(0, 5)
    leaders.answer(1, 10)
    assert not check.confirm(source)
    assert (source.at_end, check.requested) == (False, False), "the next call asks again"


def test_a_late_answer_is_for_a_later_call(
    leaders: Leaders, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop waits for it once, and goes on meanwhile."""
    waited = []
    monkeypatch.setattr(EndOffsets, "wait", lambda self, seconds=0.0: waited.append(seconds))
    source, check = source_at_end(5), EndCheck()
    assert not check.confirm(source)
    clock.now += 1.0
    assert not check.confirm(source)
    assert waited == [1.0, 0.0]
    monkeypatch.undo()
    assert len(leaders.requests) == 1
    leaders.answer(0, 5)
    assert check.confirm(source)


def test_an_input_that_is_never_at_its_end_is_caught_up_with_an_earlier_one(
    leaders: Leaders, clock: SimpleNamespace
) -> None:
    source, check = source_at_end(5), EndCheck()
    times: list[float | None] = []
    for end in (6, 8, 10, 12):
        check.request(source)
        clock.now += 1.0
        leaders.answer(0, end)
        assert not check.confirm(source)
        times.append(check.caught_up_at)
        source.positions[0] = end + 1
    assert times == [None, 100.0, 100.0, 102.0]


@pytest.mark.usefixtures("clock")
def test_an_end_that_is_confirmed_is_caught_up(leaders: Leaders, clock: SimpleNamespace) -> None:
    source, check = source_at_end(5), EndCheck()
    check.request(source)
    clock.now += 0.5
    leaders.answer(0, 5)
    assert check.confirm(source)
    assert check.caught_up_at == 100.0, "when the leaders were asked"
