"""The edge to Kafka on hand-written fakes: what is called in which order, and what each failure leads to."""

import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from classifier import outage
from classifier.errors import (
    AccessDenied,
    BrokerUnavailable,
    KafkaFailed,
    ProducerFenced,
    StateError,
    TransactionAborted,
)
from classifier.settings import Settings
from classifier.sink import Sink
from classifier.source import Source, committed_offsets
from classifier.stop import StopRequest
from tests.support.fakes import FakeBroker, FakeConsumer, FakeMessage, FakeProducer, end_of, failure
from tests.support.memory import KafkaInMemory

SETTINGS = Settings(schema_registry={}, consumer={"bootstrap.servers": "host:9092"}, producer={}, group="team")
BEGIN = ["begin_transaction", "produce", "produce", "send_offsets_to_transaction"]
COMMIT = [*BEGIN, "commit_transaction"]
ABORT = failure(KafkaError._TIMED_OUT, abort=True)
FENCED = failure(KafkaError._FENCED, fatal=True)
AGAIN = failure(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, retriable=True)
DENIED = failure(KafkaError.TOPIC_AUTHORIZATION_FAILED, abort=False)
FATAL = failure(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, fatal=True)


def in_memory(producer: FakeProducer | None = None, consumer: FakeConsumer | None = None) -> KafkaInMemory:
    """Kafka over these fakes."""
    broker = FakeBroker()
    reading = FakeConsumer(broker, seed=1) if consumer is None else consumer
    return KafkaInMemory(SETTINGS, StopRequest(), reading, FakeProducer(broker) if producer is None else producer)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr(outage, "RETRY_SECONDS", 0)


def raising(exception: KafkaException) -> Callable[[], None]:
    """An accident."""

    def accident() -> None:
        raise exception

    return accident


def written(failing: str, *failures: KafkaException) -> tuple[FakeBroker, FakeProducer, Callable[[], None]]:
    """A sink whose producer fails so often in one method; what to call to write with it."""
    broker = FakeBroker(out=1)
    producer = FakeProducer(broker, {failing: [raising(each) for each in failures]})
    kafka = in_memory(producer, FakeConsumer(broker, seed=1))
    sink = Sink(kafka, kafka.consumer(), "x")
    producer.calls.clear()
    records = [("out", key, b"value", None) for key in (b"a", b"b")]
    return broker, producer, lambda: sink.write(records, [TopicPartition("in", 0, 7, "mark")])


def committed(broker: FakeBroker) -> tuple[int, int]:
    """How many records and how many offsets are there."""
    return len(broker.logs["out"][0]), len(broker.offsets)


def test_records_and_offsets_go_into_one_transaction() -> None:
    broker, producer, write = written("produce")
    write()
    assert producer.calls == COMMIT
    assert committed(broker) == (2, 1)
    write()
    assert producer.calls == COMMIT * 2


@pytest.mark.parametrize("method", ["begin_transaction", "send_offsets_to_transaction", "commit_transaction"])
def test_a_retriable_failure_repeats_the_same_call(method: str) -> None:
    broker, producer, write = written(method, AGAIN, AGAIN)
    write()
    place = COMMIT.index(method)
    assert producer.calls == [*COMMIT[:place], method, method, *COMMIT[place:]]
    assert committed(broker) == (2, 1)


@pytest.mark.parametrize("method", ["send_offsets_to_transaction", "commit_transaction"])
def test_an_aborted_transaction_leaves_nothing(method: str) -> None:
    broker, producer, write = written(method, ABORT)
    with pytest.raises(TransactionAborted, match=r"^transaction aborted \(made up\)$"):
        write()
    assert producer.calls == [*COMMIT[: COMMIT.index(method) + 1], "abort_transaction"]
    assert committed(broker) == (0, 0)


@pytest.mark.parametrize("method", ["begin_transaction", "send_offsets_to_transaction", "commit_transaction"])
@pytest.mark.parametrize(("error", "kind"), [(FENCED, ProducerFenced), (FATAL, KafkaFailed), (DENIED, AccessDenied)])
def test_what_cannot_be_mended_stops(method: str, error: KafkaException, kind: type[Exception]) -> None:
    broker, producer, write = written(method, error)
    with pytest.raises(kind):
        write()
    # A fenced instance must not touch the transaction of its successor.
    ended = [] if kind is ProducerFenced else ["abort_transaction"]
    assert producer.calls == COMMIT[: COMMIT.index(method) + 1] + ended
    assert committed(broker) == (0, 0)


def test_fenced_is_told_with_the_name() -> None:
    _, _, write = written("commit_transaction", FENCED)
    with pytest.raises(ProducerFenced) as caught:
        write()
    assert str(caught.value) == (
        "transactional.id 'user_classifier-team-user_labeling' was taken over by a newer user_classifier;"
        " this one stops"
    )


def test_a_full_queue_is_drained() -> None:
    broker, producer, write = written("produce")
    full: list[Callable[[], None] | None] = [None, _full, _full]
    producer._accidents["produce"] = full
    write()
    assert producer.calls.count("produce") == 4
    assert committed(broker) == (2, 1)


def _full() -> None:
    raise BufferError("queue full")


def test_an_outage_is_told_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    kafka, left = in_memory(), [AGAIN, AGAIN, AGAIN]

    def call() -> str:
        if left:
            raise left.pop()
        return "answer"

    assert kafka.call("read topic t", call) == "answer"
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "Kafka host:9092: cannot read topic t: made up; trying again until it is back"
    assert told[1].startswith("Kafka host:9092: back after ")
    assert len(told) == 2


def test_a_signal_ends_an_outage() -> None:
    kafka = in_memory()

    def call() -> None:
        kafka._stop.requested = True
        raise AGAIN

    with pytest.raises(BrokerUnavailable, match=r"^cannot read topic t: made up$"):
        kafka.call("read topic t", call)


class ScriptedConsumer(FakeConsumer):
    """Gives what it is told to give."""

    def __init__(self, *batches: list[FakeMessage]) -> None:
        super().__init__(FakeBroker(t=2), seed=0)
        self._batches = list(batches)

    def consume(self, limit: int, timeout: float) -> list[FakeMessage]:
        """The next batch."""
        return self._batches.pop(0) if self._batches else []


def source(consumer: FakeConsumer, offsets: dict[int, int]) -> Source:
    """A source of topic t."""
    kafka = in_memory(consumer=consumer)
    return Source(kafka, kafka.consumer(), "t", offsets)


def record(partition: int, offset: int) -> FakeMessage:
    """A record of topic t."""
    return FakeMessage(("t", partition, offset), b"x")


def test_a_source_knows_its_positions_and_its_end() -> None:
    consumer = ScriptedConsumer(
        [record(0, 3), end_of("t", 0, 5)],  # control records lie between 3 and 5
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


def test_an_error_that_passes_hides_nothing() -> None:
    passing = FakeMessage(("t", 0, 0), error=KafkaError(KafkaError.NETWORK_EXCEPTION, "made up"))
    reading = source(ScriptedConsumer([record(0, 5), passing], [end_of("t", 0, 6), passing]), {0: 5})
    assert [message.offset() for message in reading.read(10, 0)] == [5]
    assert reading.positions == {0: 6}
    reading.read(10, 0)
    assert reading.at_end


def test_an_offset_that_cannot_be_told_is_not_one_that_is_missing() -> None:
    unstable = KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT, "made up")
    answer = [SimpleNamespace(error=None, offset=7), SimpleNamespace(error=unstable, offset=OFFSET_INVALID)]
    consumer = cast(Consumer, SimpleNamespace(committed=lambda wanted, timeout: answer))
    with pytest.raises(KafkaException, match="UNSTABLE_OFFSET_COMMIT"):
        committed_offsets(consumer, [])


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._AUTO_OFFSET_RESET, StateError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, AccessDenied),
        (KafkaError.OFFSET_OUT_OF_RANGE, KafkaFailed),
    ],
)
def test_what_a_source_cannot_read_past(code: int, kind: type[Exception]) -> None:
    bad = FakeMessage(("t", 1, 4), error=KafkaError(code, "made up"))
    with pytest.raises(kind):
        source(ScriptedConsumer([bad]), {0: 0, 1: 4}).read(10, 0)


def test_the_client_library_mends_connections_itself() -> None:
    lost = FakeMessage(("t", 0, 0), error=KafkaError(KafkaError._TRANSPORT, "made up"))
    reading = source(ScriptedConsumer([lost, record(0, 0)]), {0: 0})
    assert len(reading.read(10, 0)) == 1


def test_a_second_signal_ends_at_once_whichever_it_is() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        stop = StopRequest()
        stop.install()
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == [signal.SIG_DFL] * 2
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
