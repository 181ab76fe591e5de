"""Sink: the order of its calls, the result of each failure, and dead letters."""

from collections.abc import Callable
from typing import cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from classifier.errors import (
    REFUSED_CODES,
    SMALLER_BATCHES,
    AccessDenied,
    ClassifierError,
    KafkaFailed,
    ProducerFenced,
    RecordError,
    SchemaMissing,
    TransactionAborted,
)
from classifier.kafka.record import BadRecord
from classifier.kafka.sink import Sink, dead_letter
from classifier.kafka.transaction_size import TransactionSize
from tests.support.fakes import FakeBroker, FakeConsumer, FakeMessage, FakeProducer, failure
from tests.support.memory import in_memory

BEGIN = ["begin_transaction", "produce", "produce", "send_offsets_to_transaction"]
COMMIT = [*BEGIN, "commit_transaction"]
ABORT = failure(KafkaError._TIMED_OUT, abort=True)
FENCED = failure(KafkaError._FENCED, fatal=True)
AGAIN = failure(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, retriable=True)
DENIED = failure(KafkaError.TOPIC_AUTHORIZATION_FAILED, abort=False)
FATAL = failure(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, fatal=True)


def raising(exception: KafkaException) -> Callable[[], None]:
    """Return a function that raises an exception."""

    def accident() -> None:
        raise exception

    return accident


def written(failing: str, *failures: KafkaException) -> tuple[FakeBroker, FakeProducer, Callable[[], None]]:
    """Return broker and producer of a sink whose method `failing` fails, and a function that writes a step."""
    broker = FakeBroker(out=1)
    producer = FakeProducer(broker, {failing: [raising(each) for each in failures]})
    kafka = in_memory(producer, FakeConsumer(broker, seed=1))
    sink = Sink(kafka, kafka.consumer(), "x", TransactionSize(60.0))
    producer.calls.clear()
    records = [("out", key, b"value", None) for key in (b"a", b"b")]
    return broker, producer, lambda: sink.write(records, [TopicPartition("in", 0, 7, "mark")])


def committed(broker: FakeBroker) -> tuple[int, int]:
    """Return the number of committed records and offsets."""
    return len(broker.logs["out"][0]), len(broker.offsets)


def test_records_and_offsets_are_in_one_transaction() -> None:
    broker, producer, write = written("produce")
    write()
    assert producer.calls == COMMIT
    assert committed(broker) == (2, 1)
    write()
    assert producer.calls == COMMIT * 2


@pytest.mark.parametrize("method", ["begin_transaction", "send_offsets_to_transaction", "commit_transaction"])
def test_a_retriable_error_repeats_the_call(method: str) -> None:
    broker, producer, write = written(method, AGAIN, AGAIN)
    write()
    index = COMMIT.index(method)
    assert producer.calls == [*COMMIT[:index], method, method, *COMMIT[index:]]
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
def test_other_errors_are_raised(method: str, error: KafkaException, kind: type[Exception]) -> None:
    broker, producer, write = written(method, error)
    with pytest.raises(kind):
        write()
    # A fenced instance must not touch the transaction of its successor.
    ended = [] if kind is ProducerFenced else ["abort_transaction"]
    assert producer.calls == COMMIT[: COMMIT.index(method) + 1] + ended
    assert committed(broker) == (0, 0)


def failed_delivery(code: int, n_bytes: int, batch_size: int = 1_000_000) -> Exception:
    """Return the error of a step of which a record of this size could not be delivered."""
    broker = FakeBroker(out=1)
    producer = FakeProducer(broker, {"commit_transaction": [raising(failure(KafkaError._INCONSISTENT, abort=True))]})
    kafka = in_memory(producer, FakeConsumer(broker, seed=1))
    kafka._batch_limit = batch_size
    sink = Sink(kafka, kafka.consumer(), "x", TransactionSize(60.0))
    report = FakeMessage(("out", 0, 0), b"v" * n_bytes)
    errors = [KafkaError(code, "reason"), KafkaError(KafkaError._PURGE_QUEUE)]
    notify = sink._deliveries.note_failure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeProducer, "produce", lambda *_: [notify(each, cast(Message, report)) for each in errors])
        with pytest.raises(ClassifierError) as caught:
            sink.write([("out", b"a", b"value", None)], [])
    return caught.value


@pytest.mark.parametrize(
    ("n_bytes", "batch_size", "advice"),
    [
        (118, 1_000_000, SMALLER_BATCHES),
        (499_999, 1_000_000, SMALLER_BATCHES),
        (500_000, 1_000_000, REFUSED_CODES[KafkaError.MSG_SIZE_TOO_LARGE]),
        (118, 200, REFUSED_CODES[KafkaError.MSG_SIZE_TOO_LARGE]),
    ],
)
def test_a_refusal_names_what_is_too_large_batch_or_record(n_bytes: int, batch_size: int, advice: str) -> None:
    """A batch holds one record only, if the record takes half of it."""
    error = failed_delivery(KafkaError.MSG_SIZE_TOO_LARGE, n_bytes, batch_size)
    assert isinstance(error, KafkaFailed)
    assert str(error).startswith("cannot write topic out: reason")
    assert str(error).endswith(f"; {advice}")


@pytest.mark.parametrize(("code", "passes"), [(KafkaError._MSG_TIMED_OUT, True), (KafkaError.UNKNOWN, False)])
def test_the_cause_of_an_abort_is_the_record_that_was_not_delivered(code: int, passes: bool) -> None:
    error = failed_delivery(code, 118)
    assert isinstance(error, TransactionAborted)
    assert str(error) == "transaction aborted (reason)"
    assert error.passes is passes


def test_the_message_of_a_fenced_producer() -> None:
    _, _, write = written("commit_transaction", FENCED)
    with pytest.raises(ProducerFenced) as caught:
        write()
    assert str(caught.value) == (
        "transactional.id 'user_classifier-team-user_labeling' was taken over by a newer user_classifier;"
        " this one stops"
    )


def test_a_full_queue_is_flushed() -> None:
    broker, producer, write = written("produce")
    full: list[Callable[[], None] | None] = [None, _full, _full]
    producer._accidents["produce"] = full
    write()
    assert producer.calls.count("produce") == 4
    assert committed(broker) == (2, 1)


def _full() -> None:
    raise BufferError("queue full")


@pytest.mark.parametrize("kind", [RecordError, SchemaMissing])
def test_a_dead_letter_has_the_record_and_the_reason(kind: type[RecordError]) -> None:
    message = FakeMessage(("t", 3, 41), b"{}", [("op", b"\1"), ("trace", b"x")], b"key")
    assert dead_letter(BadRecord(message, kind("not Confluent Avro (first byte 0x7b)")), "error_log") == (
        "error_log",
        b"key",
        b"{}",
        [
            ("op", b"\1"),
            ("trace", b"x"),
            ("__streams.errors.exception", b"RecordError"),
            ("__streams.errors.message", b"not Confluent Avro (first byte 0x7b)"),
            ("__streams.errors.topic", b"t"),
            ("__streams.errors.partition", b"3"),
            ("__streams.errors.offset", b"41"),
        ],
    )


def test_an_output_that_accepts_no_records_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Even if the brokers answer other calls meanwhile."""
    broker = FakeBroker(out=1)
    producer = FakeProducer(broker)
    n_outstanding = iter([2, 2, 2, 2, 0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeProducer, "__len__", lambda producer: 2)
        patch.setattr(FakeProducer, "flush", lambda producer, timeout: next(n_outstanding))
        kafka = in_memory(producer, FakeConsumer(broker, seed=1))
        sink = Sink(
            kafka, kafka.consumer(), "x", TransactionSize(60.0), check_step=lambda: kafka.call("describe", lambda: None)
        )
        sink.write([], [])
    lines = [record.getMessage().partition("; ")[0] for record in caplog.records]
    assert lines[0] == "Kafka host:9092: the output: accepts no records"
    assert [line for line in lines[1:] if "back after" not in line] == []
    assert len(lines) == 2


def test_the_rate_is_measured_if_all_is_delivered_during_the_offsets() -> None:
    """Otherwise a small first part, caused by a slow start of the broker, would be followed by equally small ones."""
    n_outstanding = [0]
    now = [0.0]

    def flush(producer: FakeProducer, timeout: float) -> int:
        now[0] += 0.5
        n_outstanding[0] = 0
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeProducer, "__len__", lambda producer: n_outstanding[0])
        patch.setattr(FakeProducer, "flush", flush)
        producer = FakeProducer(FakeBroker(out=1))
        size = TransactionSize(60.0, lambda: now[0])
        kafka = in_memory(producer, FakeConsumer(FakeBroker(), seed=1))
        sink = Sink(kafka, kafka.consumer(), "x", size)
        n_outstanding[0] = 500
        sink.write([("out", b"key", b"value", None)] * 1_500, [TopicPartition("in", 0, 7, "mark")])
    assert size.max_rows == 3_000 * 15
