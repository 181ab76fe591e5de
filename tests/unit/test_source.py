"""Source: positions, the end of the input, and consumer errors that pass or not."""

from types import SimpleNamespace
from typing import cast

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException

from classifier.errors import AccessDenied, KafkaFailed, RestoreNeeded
from classifier.kafka.record import LogPoint
from classifier.kafka.source import Source, committed_offsets
from tests.support.fakes import FakeBroker, FakeConsumer, FakeMessage, end_of
from tests.support.memory import in_memory


class ScriptedConsumer(FakeConsumer):
    """Returns prepared batches."""

    def __init__(self, *batches: list[FakeMessage]) -> None:
        super().__init__(FakeBroker(t=2), seed=0)
        self._batches = list(batches)

    def consume(self, limit: int, timeout: float) -> list[FakeMessage]:
        """Return the next batch."""
        return self._batches.pop(0) if self._batches else []


def source(consumer: FakeConsumer, offsets: dict[int, int]) -> Source:
    """Return a source of topic t."""
    kafka = in_memory(consumer=consumer)
    return Source(kafka, kafka.consumer(), "t", offsets)


def record(partition: int, offset: int) -> FakeMessage:
    """Return a record of topic t."""
    return FakeMessage(("t", partition, offset), b"x")


def test_positions_and_end() -> None:
    consumer = ScriptedConsumer(
        [record(0, 3), end_of("t", 0, 5)],  # offset 4 is a transaction marker
        [end_of("t", 1, 9)],
        [record(1, 9)],
        [end_of("t", 1, 10)],
    )
    reading = source(consumer, {0: 3, 1: 8})
    assert (reading.positions, reading.at_end) == ({0: 3, 1: 8}, False)
    assert [message.offset() for message in reading.read(10, 0)] == [3]
    assert (reading.positions, reading.at_end) == ({0: 5, 1: 8}, False)
    assert reading.read(10, 0) == []
    assert (reading.positions, reading.at_end) == ({0: 5, 1: 9}, True)
    reading.read(10, 0)
    assert (reading.positions, reading.at_end) == ({0: 5, 1: 10}, False)
    reading.read(10, 0)
    assert reading.at_end


def test_records_before_a_passing_error_are_returned() -> None:
    passing = FakeMessage(("t", 0, 0), error=KafkaError(KafkaError.NETWORK_EXCEPTION, "made up"))
    reading = source(ScriptedConsumer([record(0, 5), passing], [end_of("t", 0, 6), passing]), {0: 5})
    assert [message.offset() for message in reading.read(10, 0)] == [5]
    assert reading.positions == {0: 6}
    reading.read(10, 0)
    assert reading.at_end


def test_an_offset_that_cannot_be_read_raises() -> None:
    unstable = KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT, "made up")
    answer = [SimpleNamespace(error=None, offset=7), SimpleNamespace(error=unstable, offset=OFFSET_INVALID)]
    consumer = cast(Consumer, SimpleNamespace(committed=lambda wanted, timeout: answer))
    with pytest.raises(KafkaException, match="UNSTABLE_OFFSET_COMMIT"):
        committed_offsets(consumer, [])


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._AUTO_OFFSET_RESET, RestoreNeeded),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, AccessDenied),
        (KafkaError.OFFSET_OUT_OF_RANGE, KafkaFailed),
    ],
)
def test_errors_that_do_not_pass(code: int, kind: type[Exception]) -> None:
    bad = FakeMessage(("t", 1, 4), error=KafkaError(code, "made up"))
    with pytest.raises(kind):
        source(ScriptedConsumer([bad]), {0: 0, 1: 4}).read(10, 0)


def test_a_broken_connection_is_ignored() -> None:
    lost = FakeMessage(("t", 0, 0), error=KafkaError(KafkaError._TRANSPORT, "made up"))
    reading = source(ScriptedConsumer([lost, record(0, 0)]), {0: 0})
    assert len(reading.read(10, 0)) == 1


def test_the_last_record_of_each_partition_is_noted() -> None:
    messages = [record(0, 3), FakeMessage(("t", 1, 7), b"x", leader_epoch=None), FakeMessage(("t", 0, 4), b"x")]
    messages += [FakeMessage(("t", 0, 5), b"x", leader_epoch=2), end_of("t", 0, 7)]
    reading = source(ScriptedConsumer(messages), {0: 3, 1: 7})
    reading.read(10, 0)
    assert reading.last_read == {0: LogPoint(5, 2), 1: LogPoint(7, -1)}


def test_a_partition_with_more_records_is_not_at_its_end() -> None:
    """Its last fetch reported an end, and its leader another one since."""
    reading = source(ScriptedConsumer([end_of("t", 0, 5), end_of("t", 1, 9)], [record(1, 9)]), {0: 5, 1: 9})
    reading.read(10, 0)
    assert reading.at_end
    assert not reading.take_ends({0: 5, 1: 10})
    assert (reading.at_end, reading.lag()) == (False, {0: 0, 1: 1})
    reading.read(10, 0)
    assert reading.take_ends({0: 5, 1: 10})
    assert reading.lag() == {0: 0, 1: 0}


def stalled_source(monkeypatch: pytest.MonkeyPatch, *batches: list[FakeMessage]) -> Source:
    """A source whose polls take all of their time, on a clock without other delays."""
    now = 0.0

    class SlowConsumer(ScriptedConsumer):
        def consume(self, limit: int, timeout: float) -> list[FakeMessage]:
            nonlocal now
            now += timeout
            return super().consume(limit, timeout)

    monkeypatch.setattr("classifier.kafka.source.time.monotonic", lambda: now)
    return source(SlowConsumer(*batches), {0: 5, 1: 9})


def test_a_stalled_partition_is_logged_once_and_when_it_is_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reading = stalled_source(monkeypatch, [record(0, 5)], [], [record(0, 6)], [record(0, 7)], [record(1, 9)])
    for _ in range(5):
        reading.take_ends({0: 9, 1: 10})
        reading.read(10, 6.0)
    assert [each.getMessage() for each in caplog.records] == [
        "t [1] at offset 9: there are records up to offset 10, but its leader has sent none for 12 s"
    ]
    assert not reading.take_ends({0: 9, 1: 10}), "partition 0 is behind, but moves"
    assert caplog.records[-1].getMessage() == "t [1]: read to its end again"
    assert len(caplog.records) == 2


def test_a_long_step_is_no_stall(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Only the time spent in polls counts."""
    reading = stalled_source(monkeypatch, [], [])
    reading.take_ends({0: 9, 1: 10})
    reading.read(10, 0.1)
    monkeypatch.setattr("classifier.kafka.source.time.monotonic", lambda: 3600.0)
    reading.take_ends({0: 9, 1: 10})
    assert caplog.records == []
